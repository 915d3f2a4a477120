//! The program itself, as a process of its own.

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader};
    use std::process::{Command, Stdio};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    /// Scenario: the policy of a running service is written over by one that cannot be used, and it is told to read its files again,
    /// and then to stop.
    /// Guarantees: it says so, though another thread than the first finds out, and ends.
    #[test]
    fn a_service_is_heard_and_ends() {
        const PATIENCE: Duration = Duration::from_secs(60);
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).expect("written");
        write("policy.yaml", "");
        write(
            "hopseal.yaml",
            "listen: {otlp_grpc: null, otlp_http: null, zipkin: null, api: null, admin: 127.0.0.1:0}
judging: {policy: policy.yaml}
store: {folder: data, alarm_under: '1', refuse_under: '1'}
",
        );
        let mut process = Command::new(env!("CARGO_BIN_EXE_hopseal"))
            .args(["serve", "--config", "hopseal.yaml"])
            .current_dir(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("started");
        let err = BufReader::new(process.stderr.take().expect("a pipe"));
        let (to, lines) = channel();
        std::thread::spawn(move || err.lines().map_while(Result::ok).for_each(|line| _ = to.send(line)));
        let id = process.id().to_string();
        let signal = |name: &str| {
            assert!(Command::new("kill").args([name, &id]).status().expect("sent").success(), "{name}");
        };
        let heard = |part: &str| {
            let mut said = Vec::new();
            while !said.last().is_some_and(|line: &String| line.contains(part)) {
                let Ok(line) = lines.recv_timeout(PATIENCE) else { return Err(said) };
                said.push(line);
            }
            Ok(())
        };
        let history = || {
            heard("listening for admin")?;
            write("policy.yaml", "thresholds: {min_requests: many}");
            signal("-HUP");
            heard("cannot be used")?;
            signal("-TERM");
            heard("nothing more is received")
        };
        let said = history();
        let mut ended = None;
        if said.is_ok() {
            for _ in 0..600 {
                ended = process.try_wait().expect("a process");
                if ended.is_some() {
                    break;
                }
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        // Nothing is left running, whatever came of it.
        let _ = process.kill();
        let _ = process.wait();
        assert_eq!(said, Ok(()));
        assert!(ended.is_some_and(|status| status.success()), "{ended:?}");
    }
}
