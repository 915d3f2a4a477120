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
