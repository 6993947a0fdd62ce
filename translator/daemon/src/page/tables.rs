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
    let heading = ["PROTOCOL", "INSIDE", "OUTSIDE", "REMOTE", "STATE", "EXPIRES IN"].map(str::to_owned);
    let rows = entries.iter().map(|entry| {
        let (inner, outer, remote) = (entry.inner.to_string(), entry.outer.to_string(), entry.remote.to_string());
        let state = entry.state.clone().unwrap_or_else(|| "-".to_owned());
        [entry.protocol.to_string(), inner, outer, remote, state, Ago(entry.expires_in_secs).to_string()]
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

    #[test]
    fn a_list_of_mappings() {
        let page = render_bib(&[
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
        ]);

        insta::assert_snapshot!(page);
    }

    #[test]
    fn a_list_of_sessions() {
        let page = render_sessions(&[SessionReport {
            protocol: Protocol::Tcp,
            inner: "[2001:db8::5]:40000".parse().unwrap(),
            outer: "192.0.2.2:40001".parse().unwrap(),
            remote: "203.0.112.80:443".parse().unwrap(),
            state: Some("established".to_owned()),
            expires_in_secs: 7_440,
        }]);

        insta::assert_snapshot!(page);
    }

    #[test]
    fn empty_tables_have_their_heading() {
        assert_eq!(render_bib(&[]), "PROTOCOL  INSIDE  OUTSIDE  KIND  SESSIONS\n");
    }
}
