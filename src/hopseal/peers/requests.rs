//! What a whole request costs a service of `axum` under load, with what it needs to know who calls and to tell of it, and without.
//!
//! Each service is a process, and what is counted is its processor time: of the kernel for its sockets, of its handler, and of the
//! thread that exports its spans, but not of whoever calls. Each is asked for some time, all in turn, over and over; the cheapest turn
//! of each counts, as what disturbs only ever adds.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::service::{MANNERS, USED};
use crate::tokens::SUBJECT;

const ALGORITHMS: [&str; 2] = ["RS256", "ES256"];
const CONNECTIONS: usize = 32;
const TURNS: usize = 8;
const TURN: Duration = Duration::from_millis(500);

/// A service, which ends with it.
struct Service {
    child: Child,
    address: String,
    request: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        // Its standard input ends.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// What one turn cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Microseconds a request.
    processor: f64,
    /// Requests a second.
    rate: f64,
}

/// A connection on which one asks again and again.
struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    async fn new(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::with_capacity(1024) }
    }

    /// The whole answer, whose last bytes are known.
    async fn ask(&mut self, request: &str, ends: &str) -> &str {
        self.stream.write_all(request.as_bytes()).await.unwrap();
        self.buffer.clear();
        while !self.buffer.ends_with(ends.as_bytes()) {
            assert_ne!(self.stream.read_buf(&mut self.buffer).await.unwrap(), 0, "hung up");
        }
        std::str::from_utf8(&self.buffer).unwrap()
    }
}

impl Service {
    fn start(manner: &str, algorithm: &str) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["serve", manner, algorithm]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (address, token) = line.trim_end().split_once(' ').unwrap();
        let request = format!(
            "GET /orders HTTP/1.1\r\nhost: orders.example\r\nuser-agent: load\r\nauthorization: Bearer {token}\r\n\
             traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\r\n"
        );
        Self { child, address: address.to_owned(), request }
    }

    /// Microseconds of processor time that it has used, and spans that it has exported.
    async fn used(&self) -> (f64, u64) {
        let mut connection = Connection::new(&self.address).await;
        let answer = connection.ask("GET /used HTTP/1.1\r\nhost: orders.example\r\n\r\n", USED).await;
        let answer = answer.rsplit_once("\r\n\r\n").unwrap().1.trim_end_matches(USED);
        let (time, spans) = answer.split_once(' ').unwrap();
        (time.parse().unwrap(), spans.parse().unwrap())
    }

    async fn turn(&self, manner: &str) -> Cost {
        let (before, exported) = self.used().await;
        let began = Instant::now();
        let mut asking = JoinSet::new();
        for _ in 0..CONNECTIONS {
            let (address, request) = (self.address.clone(), self.request.clone());
            asking.spawn(async move {
                let mut connection = Connection::new(&address).await;
                let mut asked = 0u64;
                while began.elapsed() < TURN {
                    let answer = connection.ask(&request, SUBJECT).await;
                    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                    asked += 1;
                }
                asked
            });
        }
        let asked: u64 = asking.join_all().await.into_iter().sum();
        let took = began.elapsed();
        let (after, exported_since) = self.used().await;
        let spans = exported_since - exported;
        let unsampled = manner.ends_with("alone") || manner.ends_with("not sampled");
        assert_eq!(spans, if unsampled { 0 } else { asked }, "{manner}: every span is paid for");
        Cost { processor: (after - before) / asked as f64, rate: asked as f64 / took.as_secs_f64() }
    }
}

/// Prints the table; which limits are missed.
pub async fn table() -> BTreeSet<String> {
    let mut missed = BTreeSet::new();
    for algorithm in ALGORITHMS {
        println!(
            "\n{:<37} {:>9} {:>9} {:>6} {:>9}   a request of axum, {algorithm}",
            "", "us of CPU", "over axum", "ratio", "a second"
        );
        let services = MANNERS.map(|manner| Service::start(manner, algorithm));
        let mut costs: [Vec<Cost>; MANNERS.len()] = Default::default();
        for _ in 0..TURNS {
            for (place, service) in services.iter().enumerate() {
                costs[place].push(service.turn(MANNERS[place]).await);
            }
        }
        let best = costs.map(|turns| {
            let least = |it: fn(&Cost) -> f64| turns.iter().map(it).fold(f64::INFINITY, f64::min);
            let most = turns.iter().map(|it| it.rate).fold(0.0, f64::max);
            Cost { processor: least(|it| it.processor), rate: most }
        });
        let alone = best[0].processor;
        for (manner, Cost { processor, rate }) in MANNERS.iter().zip(best) {
            println!(
                "{manner:<37} {processor:>9.1} {:>9.1} {:>6.2} {rate:>9.0}",
                processor - alone,
                processor / alone
            );
        }
        // All that it does must not cost more than what others do.
        let [_, ours, .., theirs] = best;
        if ours.processor > theirs.processor {
            let (ours, theirs) = (ours.processor, theirs.processor);
            missed.insert(format!("{algorithm}: {ours:.1} us a request, others {theirs:.1}"));
        }
    }
    missed
}
