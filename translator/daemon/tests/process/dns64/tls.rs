//! Upstreams over TLS (RFC 7858) and HTTPS (RFC 8484): who is believed, and how connections are used, kept and given up.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::secured::{Authority, Manners, NAME, Over, Secured};
use super::{A, AAAA, PATIENCE, Resolver, Upstream, answer_count, rcode};

const BOTH: [Over; 2] = [Over::Tls, Over::Https];
const LATER: i32 = 2100;

/// A certificate for what the upstream is called by.
fn certified(authority: &Authority, over: Over) -> tokio_rustls::rustls::ServerConfig {
    authority.certify(if over == Over::Tls { NAME } else { "127.0.0.1" }, LATER)
}

/// A resolver that believes `authority`.
fn resolver(authority: &Authority, upstreams: &[String], more: Value) -> Resolver {
    let directory = tempfile::tempdir().unwrap();
    let mut options = json!({ "ca_file": authority.file(directory.path()), "upstream_timeout_ms": 5_000 });
    options.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    Resolver::start_asking(upstreams, options)
}

/// Asks for the addresses of many names at the same time; how many there were.
fn ask_for_many(resolver: &Resolver, rtype: u16, names: usize) -> usize {
    std::thread::scope(|scope| {
        let ask = |number| scope.spawn(move || answer_count(&resolver.ask(&format!("n{number}.example"), rtype)));
        let asked: Vec<_> = (0..names).map(ask).collect();
        asked.into_iter().map(|thread| usize::from(thread.join().unwrap())).sum()
    })
}

#[test]
fn all_questions_share_one_connection() {
    for over in BOTH {
        let authority = Authority::new();
        let upstream = Secured::start(over, Manners::Good, certified(&authority, over));
        let resolver = resolver(&authority, &[upstream.url()], json!({}));

        // The first ones find no connection, and do not make one each.
        assert_eq!(ask_for_many(&resolver, AAAA, 12), 12, "{over:?}");
        for number in 100..110 {
            assert_eq!(answer_count(&resolver.ask(&format!("n{number}.example"), AAAA)), 1, "{over:?}");
        }

        assert_eq!((upstream.connections(), upstream.questions()), (1, 44), "{over:?}");
    }
}

#[test]
fn questions_do_not_wait_for_one_another() {
    for over in BOTH {
        let authority = Authority::new();
        let upstream = Secured::start(over, Manners::Holds(8), certified(&authority, over));
        let resolver = resolver(&authority, &[upstream.url()], json!({}));

        assert_eq!(ask_for_many(&resolver, A, 8), 8, "{over:?}");

        assert_eq!(upstream.connections(), 1, "{over:?}");
    }
}

#[test]
fn who_does_not_prove_its_name_is_asked_nothing_and_another_answers() {
    let (ours, other) = (Authority::new(), Authority::new());
    let name = |over| if over == Over::Tls { NAME } else { "127.0.0.1" };
    for over in BOTH {
        let wrong = [
            (ours.certify("another.example", LATER), "its certificate is for another name"),
            (ours.certify(name(over), 2001), "its certificate has expired"),
            (other.certify(name(over), LATER), "nobody whom we believe vouches for its certificate"),
        ];
        for (certificate, complaint) in wrong {
            let upstream = Secured::start(over, Manners::Good, certificate);
            let second = Upstream::ordinary();
            let upstreams = [upstream.url(), format!("udp://{}", second.address)];
            let resolver = resolver(&ours, &upstreams, json!({}));

            for number in 0..5 {
                assert_eq!(
                    answer_count(&resolver.ask(&format!("n{number}.example"), AAAA)),
                    1,
                    "{over:?}: {complaint}"
                );
            }

            let log = resolver.log();
            let said = log.lines().filter(|line| line.contains(complaint) && line.contains(&upstream.url()));
            assert_eq!((upstream.questions(), said.count()), (0, 1), "{over:?}: {complaint}:\n{log}");
        }
    }
}

#[test]
fn a_server_that_closes_its_connections_loses_no_question() {
    for over in BOTH {
        let authority = Authority::new();
        let upstream = Secured::start(over, Manners::Closes, certified(&authority, over));
        let resolver = resolver(&authority, &[upstream.url()], json!({}));

        for number in 0..10 {
            let answer = resolver.ask(&format!("n{number}.example"), A);
            assert_eq!((rcode(&answer), answer_count(&answer)), (0, 1), "{over:?}");
        }

        assert!(upstream.connections() >= 10, "{over:?}: {}", upstream.connections());
    }
}

#[test]
fn a_server_that_restarts_is_asked_again_at_once() {
    for over in BOTH {
        let authority = Authority::new();
        let upstream = Secured::start(over, Manners::Good, certified(&authority, over));
        let resolver = resolver(&authority, &[upstream.url()], json!({}));
        assert_eq!(answer_count(&resolver.ask("before.example", AAAA)), 1, "{over:?}");
        let address = upstream.address;
        drop(upstream);
        assert_eq!(rcode(&resolver.ask("meanwhile.example", A)), 2, "{over:?}");
        let upstream = Secured::start_at(address, over, Manners::Good, certified(&authority, over));

        assert_eq!(answer_count(&resolver.ask("after.example", AAAA)), 1, "{over:?}");

        assert_eq!(upstream.connections(), 1, "{over:?}");
        let log = resolver.log();
        assert!(log.contains("connection refused") && log.contains("answers again"), "{over:?}:\n{log}");
    }
}

/// Asks for ever new names until one has an answer.
fn is_answered_again(resolver: &Resolver, word: &str) -> bool {
    let start = Instant::now();
    let names = (0..).map(|number| format!("{word}{number}.example"));
    names.take_while(|_| start.elapsed() < PATIENCE).any(|name| rcode(&resolver.ask(&name, A)) == 0)
}

#[test]
fn a_connection_that_died_without_a_word_is_given_up() {
    for over in BOTH {
        let authority = Authority::new();
        let upstream = Secured::start(over, Manners::Dies, certified(&authority, over));
        let resolver = resolver(&authority, &[upstream.url()], json!({ "upstream_timeout_ms": 900 }));

        assert!(is_answered_again(&resolver, "before"), "{over:?}");
        assert!(is_answered_again(&resolver, "after"), "{over:?}");

        assert_eq!(upstream.connections(), 2, "{over:?}");
    }
}

#[test]
fn a_server_behind_which_nobody_is_costs_less_than_two_seconds() {
    for over in BOTH {
        let authority = Authority::new();
        // The kernel accepts connections, and nobody speaks.
        let nobody = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = nobody.local_addr().unwrap();
        let first = if over == Over::Tls { format!("tls://{address}#{NAME}") } else { format!("https://{address}") };
        let second = Upstream::ordinary();
        let upstreams = [first, format!("udp://{}", second.address)];
        let resolver = resolver(&authority, &upstreams, json!({ "upstream_timeout_ms": 1_500 }));

        for number in 0..4 {
            let start = Instant::now();
            let answer = resolver.ask(&format!("n{number}.example"), A);
            assert_eq!(answer_count(&answer), 1, "{over:?}");
            assert!(start.elapsed() < Duration::from_secs(2), "{over:?}: {:?}", start.elapsed());
        }
    }
}
