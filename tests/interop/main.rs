//! The wire contract kept by others: programs in other languages, with JOSE libraries of their own, come to the same of each
//! test vector in `src/identity/vectors`.

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};
    use std::process::Command;

    use serde_json::Value;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
    }

    /// Runs a program over the vectors and compares what it found of each with what stands there.
    fn agrees(what: &str, needed: &str, at_least: usize, command: impl FnOnce(&Path) -> Command) {
        let kept = root().join("target/interop");
        assert!(
            kept.join(needed).exists(),
            "{what} is missing; install it with `tests/interop/install {what}`"
        );
        let output =
            command(&kept).arg(root().join("src/identity/vectors")).output().expect("starts, once installed");
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        let lines: Vec<Value> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect();
        assert!(lines.len() >= at_least, "{what} looked at {} cases", lines.len());
        for line in lines {
            assert_eq!(line[2], line[3], "{what}: {} `{}`", line[0], line[1]);
        }
    }

    /// Scenario: the whole contract written from `wire.md` in Python, seals verified by PyJWT.
    /// Guarantees: the page suffices; every verdict, header, counter, pseudonym and digest is the same.
    #[test]
    fn python_with_pyjwt() {
        agrees("python", "python/bin/python", 60, |kept| {
            let mut python = Command::new(kept.join("python/bin/python"));
            python.arg(root().join("tests/interop/check.py"));
            python
        });
    }

    /// Scenario: seals verified by the npm package `jose`, as JWS with the payload put in.
    /// Guarantees: what is valid verifies unaided, and what was edited, moved or re-keyed does not.
    #[test]
    fn node_with_jose() {
        agrees("node", "node_modules/jose", 12, |kept| {
            let mut node = Command::new("node");
            // Beside the modules that it imports.
            std::fs::copy(root().join("tests/interop/check.mjs"), kept.join("check.mjs")).expect("copies");
            node.arg(kept.join("check.mjs"));
            node
        });
    }

    /// Scenario: the same by Nimbus JOSE.
    /// Guarantees: the same.
    #[test]
    #[ignore = "needs a JDK and Maven: `cargo xtask e2e`"]
    fn java_with_nimbus() {
        agrees("java", "java", 12, |kept| {
            let mut java = Command::new("java");
            java.arg("-cp").arg(kept.join("java/*")).arg(root().join("tests/interop/Check.java"));
            java
        });
    }
}
