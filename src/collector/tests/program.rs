//! The program itself, as a process of its own.

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::TcpStream;
    use std::path::Path;
    use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A service with a policy, killed when the test is over.
    struct Serving(Child);

    impl Serving {
        fn start(folder: &Path) -> (Self, BufReader<ChildStderr>) {
            let config =
                "listen: {otlp_grpc: null, otlp_http: null, zipkin: null, api: null, admin: 127.0.0.1:0}
judging: {policy: policy.yaml}
store: {folder: data, alarm_under: '1', refuse_under: '1'}
";
            std::fs::write(folder.join("policy.yaml"), "").expect("written");
            std::fs::write(folder.join("hopseal.yaml"), config).expect("written");
            let mut command = Command::new(env!("CARGO_BIN_EXE_hopseal"));
            command.args(["serve", "--config", "hopseal.yaml"]).current_dir(folder);
            let mut serving =
                Self(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("started"));
            let log = BufReader::new(serving.0.stderr.take().expect("a pipe"));
            (serving, log)
        }

        fn signal(&self, name: &str) {
            let id = self.0.id().to_string();
            assert!(Command::new("kill").args([name, &id]).status().expect("sent").success(), "{name}");
        }

        /// Has it read a policy that cannot be used.
        fn spoil(&self, folder: &Path) {
            std::fs::write(folder.join("policy.yaml"), "thresholds: {min_requests: many}").expect("written");
            self.signal("-HUP");
        }

        /// How it ended, if it does.
        fn ended(mut self) -> Option<ExitStatus> {
            for _ in 0..600 {
                if let Some(status) = self.0.try_wait().expect("a process") {
                    return Some(status);
                }
                std::thread::sleep(Duration::from_millis(100));
            }
            None
        }
    }

    impl Drop for Serving {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Scenario: the policy of a running service is written over by one that cannot be used, and it is told to read its files again,
    /// and then to stop.
    /// Guarantees: it says so, though another thread than the first finds out, and ends.
    #[test]
    fn a_service_is_heard_and_ends() {
        let folder = tempfile::tempdir().expect("a folder");
        let (serving, log) = Serving::start(folder.path());
        let (to, lines) = channel();
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| _ = to.send(line)));
        let heard = |part: &str| while !lines.recv_timeout(PATIENCE).expect(part).contains(part) {};
        heard("listening for admin");
        serving.spoil(folder.path());
        heard("cannot be used");
        serving.signal("-TERM");
        heard("nothing more is received");
        let ended = serving.ended();
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }

    /// Scenario: configurations that cannot be used, each for another reason, are checked; then one that can.
    /// Guarantees: status 2, nothing on standard output, and on the other what to mend and where it stands; status 0 for the good one.
    /// Nothing is begun by either.
    #[test]
    fn a_configuration_is_checked() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        for (name, text) in [
            ("policy.yaml", ""),
            ("bad.yaml", "thresholds:\n  min_requests: many\n"),
            ("trust.yaml", "issuers: []"),
            ("empty", ""),
            ("broken.json", "{\"version\": 1"),
        ] {
            write(name, text);
        }
        let check = |config: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_hopseal"));
            command.args(["serve", "--check-config", "--config", config]).current_dir(folder.path());
            let output = command.output().expect("started");
            let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
            (output.status.code(), text(output.stdout), text(output.stderr))
        };
        let tokens = "tokens: [{issuer: staff, subject: s}]";
        for (config, said) in [
            ("listen: [", &["hopseal.yaml", "line 1"][..]),
            ("listne: {}", &["hopseal.yaml", "line 1, column 1", "`listne`", "did you mean `listen`"]),
            ("listen: {otlp_grpc: 4317}", &["line 1, column 21", "no address to listen at"]),
            ("listen: {otlp_grpc: 'localhost:4317'}", &["line 1, column 21", "no address to listen at"]),
            ("listen: {otlp_grpc: '0.0.0.0:4317'}", &["line 1, column 21", "spans would come without TLS"]),
            ("limits:\n  drain: 30", &["line 2, column 10", "no length of time"]),
            ("store: {threads: 65}", &["line 1, column 18", "a number from 1 to 64"]),
            ("tls: {certificate: none.pem, key: none.key}", &["TLS", "cannot use `none.pem`"]),
            ("tls: {certificate: empty, key: empty}", &["TLS", "`empty`"]),
            ("judging: {policy: none.yaml}", &["cannot read policy", "none.yaml"]),
            ("judging: {policy: bad.yaml}", &["policy", "bad.yaml", "line 2, column 17"]),
            ("judging: {keys: none.json, trust_domain: a.example}", &["none.json"]),
            ("judging: {catalogue: none.json}", &["catalogue", "none.json"]),
            ("judging: {catalogue: broken.json}", &["catalogue", "broken.json"]),
            ("senders: {registry: none.yaml}", &["cannot read trust registry", "none.yaml"]),
            ("senders: {registry: bad.yaml}", &["trust registry", "bad.yaml"]),
            (
                &format!("senders: {{registry: trust.yaml, known: [{{name: a, services: [b], {tokens}}}]}}"),
                &["trust.yaml", "has no issuer `staff`"],
            ),
            (
                &format!("access: {{registry: trust.yaml, known: [{{role: reader, {tokens}}}]}}"),
                &["trust.yaml", "has no issuer `staff`"],
            ),
            (
                "access: {pseudonyms: {keys: [{id: k1, file: none.key}], issuers: ['https://id.example']}}",
                &["none.key"],
            ),
            (
                "alerts: {receivers: [{name: a, webhook: 'https://127.0.0.1:9', token: none}]}",
                &["`a`", "none"],
            ),
        ] {
            write("hopseal.yaml", config);
            let (status, out, err) = check("hopseal.yaml");
            assert_eq!((status, out.as_str()), (Some(2), ""), "{config}: {err}");
            for part in said {
                assert!(err.contains(part), "{config}: `{part}` is not in {err}");
            }
        }
        let (status, out, err) = check("missing.yaml");
        assert_eq!((status, out.as_str()), (Some(2), ""));
        assert!(err.contains("cannot read configuration `missing.yaml`"), "{err}");

        write("hopseal.yaml", "judging: {policy: policy.yaml}\nstore: {folder: data}\n");
        let good = (Some(0), "hopseal.yaml: can be used\n".to_owned(), String::new());
        assert_eq!(check("hopseal.yaml"), good);
        assert!(!folder.path().join("data").exists());
    }

    /// Scenario: whoever reads the log of a service is gone; then the same happens.
    /// Guarantees: it does what it is told to, and ends well.
    #[test]
    fn a_service_that_nobody_hears_goes_on() {
        let folder = tempfile::tempdir().expect("a folder");
        let (serving, log) = Serving::start(folder.path());
        let mut lines = log.lines().map_while(Result::ok);
        let line = lines.find(|line| line.contains("listening for admin")).expect("it listens");
        let admin = line.split("address=").nth(1).expect("an address").to_owned();
        drop(lines);
        serving.spoil(folder.path());
        let failed = || {
            let mut stream = TcpStream::connect(&admin).expect("a connection");
            write!(stream, "GET /metrics HTTP/1.1\r\nhost: {admin}\r\nconnection: close\r\n\r\n")
                .expect("asked");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).expect("an answer");
            let failed = "hopseal_reloads_total{what=\"rules\",result=\"failed\"} ";
            let count = answer.lines().find_map(|line| line.strip_prefix(failed)).expect("a number");
            // Once because it was told to, and perhaps before because it looked by itself.
            count != "0"
        };
        let is_read = (0..600).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            failed()
        });
        assert!(is_read);
        serving.signal("-TERM");
        let ended = serving.ended();
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }
}
