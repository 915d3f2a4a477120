// Sends spans by the exporters of OpenTelemetry for Java: one line of JSON for each way.
//
//     java -cp 'java/*' Send.java GRPC HTTP ZIPKIN        ports of this machine
import io.opentelemetry.api.common.AttributeKey;
import io.opentelemetry.api.common.Attributes;
import io.opentelemetry.api.trace.Span;
import io.opentelemetry.api.trace.SpanContext;
import io.opentelemetry.api.trace.SpanKind;
import io.opentelemetry.api.trace.StatusCode;
import io.opentelemetry.context.Context;
import io.opentelemetry.exporter.otlp.http.trace.OtlpHttpSpanExporter;
import io.opentelemetry.exporter.otlp.trace.OtlpGrpcSpanExporter;
import io.opentelemetry.exporter.zipkin.ZipkinSpanExporter;
import io.opentelemetry.sdk.resources.Resource;
import io.opentelemetry.sdk.trace.ReadableSpan;
import io.opentelemetry.sdk.trace.SdkTracerProvider;
import io.opentelemetry.sdk.trace.data.SpanData;
import io.opentelemetry.sdk.trace.export.BatchSpanProcessor;
import io.opentelemetry.sdk.trace.export.SpanExporter;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

class Send {
    static final int TRACES = 40;

    static SdkTracerProvider service(String name, Supplier<SpanExporter> exporter) {
        var resource = Resource.create(Attributes.builder().put("service.name", name)
            .put("service.namespace", "shop").put("deployment.environment.name", "test").build());
        var processor = BatchSpanProcessor.builder(exporter.get()).build();
        return SdkTracerProvider.builder().setResource(resource).addSpanProcessor(processor).build();
    }

    static String hop(Span span, String service, String operation, String user) {
        SpanData data = ((ReadableSpan) span).toSpanData();
        return String.format(
            "{\"span\":\"%s\",\"service\":\"%s\",\"operation\":\"%s\",\"user\":\"%s\",\"start\":\"%d\",\"end\":\"%d\"}",
            data.getSpanId(), service, operation, user, data.getStartEpochNanos(), data.getEndEpochNanos());
    }

    static void send(String way, String protocol, Supplier<SpanExporter> exporter) {
        SdkTracerProvider gateway = service("gateway", exporter), orders = service("orders", exporter);
        List<String> traces = new ArrayList<>();
        for (int number = 0; number < TRACES; number++) {
            String user = way + " " + number;
            Span entry = gateway.get("test").spanBuilder("GET /orders/{id}").setNoParent().setSpanKind(SpanKind.SERVER)
                .setAttribute("http.request.method", "GET").setAttribute("http.route", "/orders/{id}")
                .setAttribute("user.id", user)
                .setAttribute(AttributeKey.stringArrayKey("user.roles"), List.of("buyer", "\u00e9"))
                .setAttribute("retries", 3).setAttribute("share", 0.5).setAttribute("cached", false).startSpan();
            entry.addEvent("looked up", Attributes.of(AttributeKey.longKey("rows"), (long) number));
            Span call = gateway.get("test").spanBuilder("GET").setSpanKind(SpanKind.CLIENT)
                .setParent(Context.root().with(entry)).setAttribute("http.request.method", "GET").startSpan();
            SpanContext local = call.getSpanContext();
            var remote = SpanContext.createFromRemoteParent(
                local.getTraceId(), local.getSpanId(), local.getTraceFlags(), local.getTraceState());
            Span called = orders.get("test").spanBuilder("GET /{id}").setSpanKind(SpanKind.SERVER)
                .setParent(Context.root().with(Span.wrap(remote)))
                .setAttribute("http.request.method", "GET").setAttribute("http.route", "/{id}")
                .setAttribute("user.id", user)
                .addLink(entry.getSpanContext(), Attributes.of(AttributeKey.stringKey("why"), "test")).startSpan();
            called.setStatus(StatusCode.ERROR, "not today");
            for (Span span : List.of(called, call, entry)) span.end();
            String hops = hop(entry, "gateway", "GET /orders/{id}", user) + "," + hop(called, "orders", "GET /{id}", user);
            traces.add("{\"trace\":\"" + entry.getSpanContext().getTraceId() + "\",\"hops\":[" + hops + "]}");
        }
        for (SdkTracerProvider provider : List.of(gateway, orders)) {
            if (!provider.forceFlush().join(30, TimeUnit.SECONDS).isSuccess()) throw new IllegalStateException(way);
            provider.shutdown().join(30, TimeUnit.SECONDS);
        }
        System.out.printf("{\"way\":\"%s\",\"protocol\":\"%s\",\"spans\":%d,\"traces\":[%s]}%n",
            way, protocol, 3 * TRACES, String.join(",", traces));
    }

    public static void main(String[] ports) {
        String grpc = "http://127.0.0.1:" + ports[0], http = "http://127.0.0.1:" + ports[1] + "/v1/traces";
        for (String compression : List.of("none", "gzip")) {
            String more = compression.equals("gzip") ? " gzip" : "";
            send("java grpc" + more, "otlp_grpc",
                () -> OtlpGrpcSpanExporter.builder().setEndpoint(grpc).setCompression(compression).build());
            send("java protobuf" + more, "otlp_http",
                () -> OtlpHttpSpanExporter.builder().setEndpoint(http).setCompression(compression).build());
        }
        String zipkin = "http://127.0.0.1:" + ports[2] + "/api/v2/spans";
        send("java zipkin", "zipkin", () -> ZipkinSpanExporter.builder().setEndpoint(zipkin).build());
        // Its client keeps threads.
        System.exit(0);
    }
}
