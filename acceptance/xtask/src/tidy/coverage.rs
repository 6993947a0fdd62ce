//! `docs/rfc-coverage.md` says where each normative sentence of an RFC is met, and which test shows it,
//! `docs/dns64-requirements.md` the same of what a DNS64 has to do, and `docs/datapath-traps.md` of what the datapath must
//! not get wrong; this keeps them true.
//!
//! A row is `| id | sentence | where | test |`. The third and fourth cells hold a path and the name of a function in it;
//! or the fourth is empty, and the third says why there is nothing to show.

use std::collections::BTreeMap;
use std::path::Path;

use super::Finding;
use super::files::SourceFile;

const PAGES: [&str; 3] = ["docs/rfc-coverage.md", "docs/dns64-requirements.md", "docs/datapath-traps.md"];
/// Sections of a page that has its own numbers: what their ids begin with, and what their rows are called.
const NUMBERED: [(&str, &str); 2] = [("R", "requirements"), ("T", "traps")];
/// How a row begins that shows nothing.
const REASONS: [&str; 2] = ["not applicable: ", "not met: "];

pub(super) fn check(files: &[SourceFile]) -> Vec<Finding> {
    let code: BTreeMap<&Path, &str> = files.iter().map(|file| (file.path.as_path(), file.text.as_str())).collect();
    let of_page = |page: &'static str| match code.get(Path::new(page)) {
        Some(text) => Checker { page, code: &code, findings: Vec::new(), section: None, last: None }.run(text),
        None => vec![Finding::new(page, 1, "the page is missing")],
    };
    PAGES.into_iter().flat_map(of_page).collect()
}

/// A heading `## RFC 7915: 65 sentences`, `## R: 58 requirements` or `## T: 53 traps`, and the rows seen below it.
struct Section {
    /// What the ids below it begin with.
    rfc: String,
    claimed: usize,
    rows: usize,
    line: usize,
}

struct Checker<'f> {
    page: &'static str,
    code: &'f BTreeMap<&'f Path, &'f str>,
    findings: Vec<Finding>,
    section: Option<Section>,
    last: Option<Id>,
}

impl Checker<'_> {
    fn run(mut self, text: &str) -> Vec<Finding> {
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(heading) = line.strip_prefix("## ") {
                self.end_section();
                self.section = section(heading, number);
                self.last = None;
                if self.section.is_none() {
                    self.say(number, "a section is called `## RFC N: COUNT sentences`, `## R: COUNT requirements` or `## T: COUNT traps`");
                }
            } else if is_row(line) {
                self.row(number, line);
            }
        }
        self.end_section();
        self.findings
    }

    fn end_section(&mut self) {
        if let Some(Section { rfc, claimed, rows, line }) = self.section.take()
            && claimed != rows
        {
            self.say(line, &format!("{rfc} is said to have {claimed} sentences, but has {rows} rows"));
        }
    }

    fn row(&mut self, number: usize, line: &str) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let &[id, sentence, place, test] = cells.as_slice() else {
            return self.say(number, "a row is `| id | sentence | where | test |`");
        };
        self.id(number, id);
        if sentence.is_empty() {
            self.say(number, "the row says no sentence");
        }
        let gives_reason = REASONS.iter().any(|begin| place.starts_with(begin) && place.len() > begin.len());
        match (gives_reason, test.is_empty()) {
            (true, true) => {}
            (true, false) => self.say(number, "a row with a reason has no test"),
            (false, _) => {
                self.function(number, place);
                self.function(number, test);
            }
        }
    }

    fn id(&mut self, number: usize, text: &str) {
        let Some(section) = &mut self.section else {
            return self.say(number, "the row belongs to no section");
        };
        section.rows += 1;
        match Id::parse(text) {
            Some(id) if id.rfc != section.rfc => self.say(number, &format!("{text} stands below another RFC")),
            Some(id) => {
                if self.last.as_ref().is_some_and(|last| *last >= id) {
                    self.say(number, &format!("{text} is there twice, or out of order"));
                }
                self.last = Some(id);
            }
            None => self.say(number, &format!("{text} is no id like 7915-4.1-3")),
        }
    }

    /// `` `path` `name` ``: a function of that name is in that file.
    fn function(&mut self, number: usize, cell: &str) {
        let words: Vec<_> = cell.split('`').collect();
        let &["", path, " ", name, ""] = words.as_slice() else {
            return self.say(number, &format!("{cell:?} is no file with a function, and no reason either"));
        };
        match self.code.get(Path::new(path)) {
            None => self.say(number, &format!("there is no {path}")),
            Some(text) if !defines(text, name) => self.say(number, &format!("{path} has no fn {name}")),
            Some(_) => {}
        }
    }

    fn say(&mut self, line: usize, message: &str) {
        self.findings.push(Finding::new(self.page, line, message));
    }
}

/// Ids count up: `7915-4.1-3` is the third sentence of section 4.1, `R3` the third requirement.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id {
    rfc: String,
    section: Vec<u32>,
    sentence: u32,
}

impl Id {
    fn parse(text: &str) -> Option<Self> {
        for (letter, _) in NUMBERED {
            if let Some(number) = text.strip_prefix(letter) {
                return Some(Self { rfc: letter.to_owned(), section: Vec::new(), sentence: number.parse().ok()? });
            }
        }
        let parts: Vec<_> = text.split('-').collect();
        let &[rfc, section, sentence] = parts.as_slice() else { return None };
        let section = section.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        Some(Self { rfc: rfc.to_owned(), section, sentence: sentence.parse().ok()? })
    }
}

fn section(heading: &str, line: usize) -> Option<Section> {
    let (rfc, count) = match heading.strip_prefix("RFC ") {
        Some(rfc) => rfc.strip_suffix(" sentences")?.split_once(": ")?,
        None => NUMBERED.into_iter().find_map(|(letter, rows)| {
            let (of, count) = heading.strip_suffix(rows)?.trim_end().split_once(": ")?;
            (of == letter).then_some((letter, count))
        })?,
    };
    Some(Section { rfc: rfc.to_owned(), claimed: count.parse().ok()?, rows: 0, line })
}

fn is_row(line: &str) -> bool {
    line.starts_with('|') && !line.starts_with("|---") && !line.starts_with("| id ")
}

fn defines(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        line.split_once("fn ")
            .is_some_and(|(_, rest)| rest.strip_prefix(name).is_some_and(|behind| behind.starts_with(['(', '<'])))
    })
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::file;
    use super::*;

    #[track_caller]
    fn check_page(rows: &str, messages: &[&str]) {
        let files = [
            file(
                "docs/rfc-coverage.md",
                &format!("## RFC 7915: 1 sentences\n\n| id | s | w | t |\n|---|---|---|---|\n{rows}"),
            ),
            file(
                "docs/dns64-requirements.md",
                "## R: 2 requirements\n| R9 | x | not met: no |  |\n| R10 | x | not met: no |  |\n",
            ),
            file("docs/datapath-traps.md", "## T: 1 traps\n| T1 | x | `src/a.rs` `here` | `tests/b.rs` `shown` |\n"),
            file("src/a.rs", "pub(crate) const fn here<T>(x: T) {}\n"),
            file("tests/b.rs", "fn shown() {\n"),
        ];

        let found: Vec<_> = check(&files).into_iter().map(|finding| finding.message).collect();

        assert_eq!(found, messages);
    }

    #[test]
    fn a_row_shows_a_function_and_a_test_or_says_why_not() {
        check_page("| 7915-4-1 | x | `src/a.rs` `here` | `tests/b.rs` `shown` |", &[]);
        check_page("| 7915-4-1 | x | not applicable: no such thing |  |", &[]);
        check_page("| 7915-4-1 | x | not met: nobody asks for it |  |", &[]);
    }

    #[test]
    fn what_has_moved_away_is_found() {
        check_page("| 7915-4-1 | x | `src/a.rs` `her` | `tests/b.rs` `shown` |", &["src/a.rs has no fn her"]);
        check_page("| 7915-4-1 | x | `src/c.rs` `here` | `tests/b.rs` `shown` |", &["there is no src/c.rs"]);
    }

    #[test]
    fn a_row_without_test_or_reason_is_found() {
        let nothing = "\"\" is no file with a function, and no reason either";

        check_page("| 7915-4-1 | x | `src/a.rs` `here` |  |", &[nothing]);
        check_page("| 7915-4-1 | x |  | `tests/b.rs` `shown` |", &[nothing]);
        check_page(
            "| 7915-4-1 | x | not applicable: no | `tests/b.rs` `shown` |",
            &["a row with a reason has no test"],
        );
    }

    #[test]
    fn ids_are_unique_and_ordered_and_counted() {
        let row = |id: &str| format!("| {id} | x | not met: no |  |\n");

        check_page(
            &[row("7915-4.10-1"), row("7915-4.2-1")].concat(),
            &["7915-4.2-1 is there twice, or out of order", "7915 is said to have 1 sentences, but has 2 rows"],
        );
        check_page(&row("6146-3-1"), &["6146-3-1 stands below another RFC"]);
        check_page(&row("7915-4"), &["7915-4 is no id like 7915-4.1-3"]);
        check_page(&row("R1"), &["R1 stands below another RFC"]);
        check_page("", &["7915 is said to have 1 sentences, but has 0 rows"]);
    }

    #[test]
    fn a_page_that_is_not_there_is_found() {
        assert_eq!(check(&[])[0].to_string(), "docs/rfc-coverage.md:1: the page is missing");
    }
}
