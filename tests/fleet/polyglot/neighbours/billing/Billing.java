package billing;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestClient;

/** {@code billing}: has {@code ledger} write down what it bills. Traced by what Spring Boot configures by itself. */
@SpringBootApplication
@RestController
public class Billing {
    private final RestClient client;
    private final String ledger;

    Billing(RestClient.Builder builder, @Value("${ledger}") String ledger) {
        this.client = builder.build();
        this.ledger = ledger;
    }

    @GetMapping("/bills/{number}")
    String bill(@PathVariable String number) {
        return client.get().uri(ledger + "/entries/{number}", number).retrieve().body(String.class);
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Billing.class, arguments);
    }
}
