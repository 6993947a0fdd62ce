//! A stand-alone translator reduced to what its control socket can reach: for fuzz targets.
//!
//! Lines go through the same reader, the same types and the same tables as those of a running translator; interface,
//! routes and files are not there.

use std::time::Instant;

use nat64::Engine;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex, split};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::settings::Settings;
use crate::cli::{Command, Parsed, parse};
use crate::control::{Query, Request, Response, serve_connection};
use crate::datapath::Traffic;
use crate::network::{NextHops, Surroundings};
use crate::page::{render_bib, render_json, render_nat64, render_sessions};
use crate::report::Nat64Report;
use crate::tables;

/// What the kernel would keep of an answer that nobody has read yet, in bytes.
const SOCKET_BUFFER: usize = 1 << 16;

/// An engine and its settings behind a control connection.
#[derive(Debug)]
pub struct ControlBench {
    /// The engine, to be given packets in between.
    pub engine: Engine,
    settings: Settings,
    surroundings: Surroundings,
    runtime: Runtime,
}

impl ControlBench {
    /// A translator that was started with these options of `nat64`.
    ///
    /// # Panics
    /// If they are not options of `nat64`.
    pub fn new(options: &[&str], seed: [u8; 32], now: Instant) -> Self {
        let line = [&["hetznat-translator", "nat64"], options].concat();
        let Ok(Parsed::Command(Command::Nat64(args))) = parse(line.iter().map(Into::into).collect()) else {
            panic!("not options of nat64: {options:?}");
        };
        let settings = Settings::of(&args).unwrap_or_else(|error| panic!("{}", error.line()));
        let surroundings = Surroundings {
            next_hops: NextHops { mtu4: 1500, mtu6: 1500 },
            own_addresses: vec!["203.0.113.1".parse().expect("an address")],
            forwarding_off: Vec::new(),
        };
        let engine = Engine::new(settings.engine_config(&surroundings), seed, now);
        let runtime = Builder::new_current_thread().enable_time().build().expect("a runtime needs no descriptor");
        Self { engine, settings, surroundings, runtime }
    }

    /// The largest packets towards IPv6 and IPv4, in bytes, that its settings allow now.
    pub fn mtus(&self) -> (u16, u16) {
        let config = self.settings.engine_config(&self.surroundings);
        (config.mtu6, config.mtu4)
    }

    /// Serves one connection on which `bytes` come; what is answered, and how `bib`, `sessions`, `config` and `status`
    /// show it.
    ///
    /// # Panics
    /// If this version cannot read its own answer.
    pub fn serve(&mut self, now: Instant, bytes: &[u8]) -> (Vec<u8>, Vec<String>) {
        let Self { engine, settings, surroundings, runtime } = self;
        let (near, far) = duplex(SOCKET_BUFFER);
        let (sender, mut queries) = mpsc::channel::<Query>(1);
        let main_loop = async {
            while let Some(query) = queries.recv().await {
                let response = answer(query.request, (&mut *engine, &mut *settings, &*surroundings), now);
                // The connection may be over.
                let _ = query.answer.send(response);
            }
        };
        let client = async {
            let (mut reader, mut writer) = split(near);
            let writing = async {
                // The server hangs up on what is no line.
                let _ = writer.write_all(bytes).await;
                let _ = writer.shutdown().await;
            };
            let mut answers = Vec::new();
            let reading = async { reader.read_to_end(&mut answers).await };
            let _ = tokio::join!(writing, reading);
            answers
        };
        let (answers, (), ()) =
            runtime.block_on(async { tokio::join!(client, serve_connection(far, sender), main_loop) });
        let shown = answers.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(show).collect();
        (answers, shown)
    }
}

fn answer(
    request: Request,
    (engine, settings, surroundings): (&mut Engine, &mut Settings, &Surroundings),
    now: Instant,
) -> Response {
    match request {
        Request::Status {} => Response::Nat64Status(Box::new(Nat64Report {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_secs: 0,
            nat64: settings.report("nat64", surroundings),
            datapath: Traffic::of(engine, std::iter::empty(), "none".to_owned()).into(),
        })),
        Request::Table { request } => tables::answer(request, engine, now),
        Request::Set { setting } => match setting.check() {
            Ok(()) => {
                settings.set(setting);
                engine.reconfigure(now, settings.engine_config(surroundings));
                Response::Done(settings.report("nat64", surroundings).to_string())
            }
            Err(why) => Response::Refused(why),
        },
    }
}

/// An answer as people see it, and programs.
fn show(line: &[u8]) -> String {
    match serde_json::from_slice(line).expect("a client of this version reads the answer") {
        Response::Status(report) => render_json(&report),
        Response::Nat64Status(report) => [render_nat64(&report), render_json(&report)].concat(),
        Response::Bib(page) => [render_bib(&page.entries), render_json(&page.entries)].concat(),
        Response::Sessions(page) => [render_sessions(&page.entries), render_json(&page.entries)].concat(),
        Response::Done(text) | Response::Refused(text) | Response::Error(text) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_changes_settings_and_tables_as_that_of_a_running_translator_does() {
        let mut bench = ControlBench::new(&["--pool4", "192.0.2.1"], [7; 32], Instant::now());
        let lines = [
            r#"{"command":"set","setting":{"key":"mtu4","value":1400}}"#,
            r#"{"command":"table","request":{"add_mapping":{"mapping":{"protocol":"udp","outer":"192.0.2.1:7","inner":"[2001:db8::7]:7"}}}}"#,
            r#"{"command":"table","request":{"list_bib":{"skip":0}}}"#,
            r#"{"command":"status"}"#,
        ];

        let (answers, shown) = bench.serve(Instant::now(), lines.join("\n").as_bytes());

        assert_eq!((bench.mtus(), bench.engine.bib().count()), ((1500, 1400), 1));
        assert_eq!((answers.iter().filter(|byte| **byte == b'\n').count(), shown.len()), (4, 4));
        assert!(shown[2].contains("[2001:db8::7]:7"), "{}", shown[2]);
        assert!(shown[3].contains("at most 4096 bytes"), "a line without end is none: {}", shown[3]);
    }
}
