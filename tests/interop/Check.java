// Seals of src/identity/wire.md checked by Nimbus: one line of JSON for each test vector with a seal of ours in it.
//
//     java -cp 'LIBRARIES/*' Check.java VECTORS

import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.JWSObject;
import com.nimbusds.jose.crypto.Ed25519Verifier;
import com.nimbusds.jose.jwk.JWK;
import com.nimbusds.jose.jwk.JWKSet;
import com.nimbusds.jose.util.Base64URL;
import com.nimbusds.jose.util.JSONArrayUtils;
import com.nimbusds.jose.util.JSONObjectUtils;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;

class Check {
    public static void main(String[] arguments) throws Exception {
        Map<String, Object> document = JSONObjectUtils.parse(Files.readString(Path.of(arguments[0], "seal.json")));
        List<JWK> pairs = new ArrayList<>();
        for (Map<String, Object> key :
                JSONObjectUtils.getJSONObjectArray(JSONObjectUtils.getJSONObject(document, "keys"), "keys")) {
            // One that says only that a secret is shared (RFC 7517 section 5: to be ignored) fails a whole JWKSet.parse.
            if (!"oct".equals(key.get("kty"))) {
                pairs.add(JWK.parse(key));
            }
        }
        JWKSet keys = new JWKSet(pairs);
        for (Map<String, Object> vector : JSONObjectUtils.getJSONObjectArray(document, "cases")) {
            String verdict = (String) vector.get("verdict");
            // What is seen without the signature, and when it ended, is for `check.py`.
            if (!List.of("valid", "signature", "unknown_key").contains(verdict)) {
                continue;
            }
            StringBuilder payload = new StringBuilder("hopseal-seal-1\n");
            payload.append(vector.get("trust_domain")).append('\n').append(vector.get("trace_id")).append('\n');
            new TreeMap<>(JSONObjectUtils.getJSONObject(vector, "members"))
                    .forEach((name, value) -> payload.append(name).append('=').append(value).append('\n'));
            String[] parts = ((String) vector.get("seal")).split("\\.\\.");
            JWSObject seal = new JWSObject(
                    new Base64URL(parts[0]), Base64URL.encode(payload.toString()), new Base64URL(parts[1]));
            if (!JWSAlgorithm.EdDSA.equals(seal.getHeader().getAlgorithm())) {
                continue; // by a shared secret, for who has it
            }
            JWK key = keys.getKeyByKeyId(seal.getHeader().getKeyID());
            String found = "unknown_key";
            if (key != null) {
                found = seal.verify(new Ed25519Verifier(key.toOctetKeyPair().toPublicJWK())) ? "valid" : "signature";
            }
            System.out.println(JSONArrayUtils.toJSONString(List.of("seal", vector.get("name"), found, verdict)));
        }
    }
}
