//! The engine's tables as people read them.

use super::{Ago, write_table};
use crate::report::{BibReport, SessionReport};

/// What `bib list` prints.
pub(crate) fn render_bib(entries: &[BibReport]) -> String {
    let heading = ["PROTOCOL", "INSIDE", "OUTSIDE", "KIND", "SESSIONS"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let kind = if entry.is_static { "static" } else { "dynamic" };
        let (inner, outer) = (entry.inner.to_string(), entry.outer.to_string());
        [entry.protocol.to_string(), inner, outer, kind.to_owned(), entry.sessions.to_string()]
    });
    render(heading, rows)
}

/// What `sessions list` prints.
pub(crate) fn render_sessions(entries: &[SessionReport]) -> String {
    let heading = ["PROTOCOL", "INSIDE", "OUTSIDE", "REMOTE", "POOL6", "STATE", "EXPIRES IN"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let (inner, outer, remote) = (entry.inner.to_string(), entry.outer.to_string(), entry.remote.to_string());
        let pool6 = entry.pool6.map_or_else(|| "-".to_owned(), |pool6| pool6.to_string());
        let state = entry.state.clone().unwrap_or_else(|| "-".to_owned());
        [entry.protocol.to_string(), inner, outer, remote, pool6, state, Ago(entry.expires_in_secs).to_string()]
    });
    render(heading, rows)
}

fn render<const N: usize>(heading: [String; N], rows: impl Iterator<Item = [String; N]>) -> String {
    let mut page = String::new();
    let rows: Vec<_> = std::iter::once(heading).chain(rows).collect();
    write_table(&mut page, &rows).expect("a String takes what is written to it");
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mapping::Protocol;

    fn mappings() -> [BibReport; 2] {
        [
            BibReport {
                protocol: Protocol::Udp,
                inner: "[2001:db8::5]:1001".parse().unwrap(),
                outer: "192.0.2.2:1000".parse().unwrap(),
                is_static: true,
                sessions: 0,
            },
            BibReport {
                protocol: Protocol::Icmp,
                inner: "198.18.0.2:7".parse().unwrap(),
                outer: "192.0.2.3:40000".parse().unwrap(),
                is_static: false,
                sessions: 12,
            },
        ]
    }

    fn sessions() -> [SessionReport; 2] {
        let tcp = SessionReport {
            protocol: Protocol::Tcp,
            inner: "[2001:db8::5]:40000".parse().unwrap(),
            outer: "192.0.2.2:40001".parse().unwrap(),
            remote: "203.0.112.80:443".parse().unwrap(),
            pool6: Some("64:ff9b::/96".parse().unwrap()),
            state: Some("established".to_owned()),
            expires_in_secs: 7_440,
        };
        let udp = SessionReport {
            protocol: Protocol::Udp,
            inner: "198.18.0.2:5353".parse().unwrap(),
            pool6: None,
            state: None,
            expires_in_secs: 300,
            ..tcp.clone()
        };
        [tcp, udp]
    }

    #[test]
    fn a_list_of_mappings() {
        insta::assert_snapshot!(render_bib(&mappings()));
    }

    #[test]
    fn a_list_of_sessions() {
        insta::assert_snapshot!(render_sessions(&sessions()));
    }

    /// Scripts read it: a field may come, none may change (docs/operations.md).
    #[test]
    fn lists_for_scripts() {
        insta::assert_snapshot!(super::super::render_json(&(mappings(), sessions())));
    }

    #[test]
    fn empty_tables_have_their_heading() {
        assert_eq!(render_bib(&[]), "PROTOCOL  INSIDE  OUTSIDE  KIND  SESSIONS\n");
    }
}
