package warehouse;

import org.springframework.beans.factory.annotation.Value;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.web.client.RestTemplateBuilder;
import org.springframework.context.annotation.Bean;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;
import org.springframework.web.client.RestTemplate;

/** {@code warehouse}: has {@code packing} pack what it finds. Traced by Sleuth, with its own headers. */
@SpringBootApplication
public class Warehouse {
    @Bean
    RestTemplate client(RestTemplateBuilder builder) {
        return builder.build();
    }

    @RestController
    static class Shelves {
        private final RestTemplate client;
        private final String packing;

        Shelves(RestTemplate client, @Value("${packing}") String packing) {
            this.client = client;
            this.packing = packing;
        }

        @GetMapping("/shelves/{number}")
        String find(@PathVariable String number) {
            return client.getForObject(packing + "/parcels/{number}", String.class, number);
        }
    }

    public static void main(String[] arguments) {
        SpringApplication.run(Warehouse.class, arguments);
    }
}
