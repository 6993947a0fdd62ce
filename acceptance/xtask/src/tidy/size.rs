//! How long files and functions may be: what does not fit on a few screens holds more than one idea.

use super::Finding;
use super::files::SourceFile;

/// Above this a file is split by idea, or stands in [`EXCEPTIONS`].
const FILE_LINES: usize = 400;
/// Above this there are no exceptions.
const FILE_LINES_AT_MOST: usize = 500;
/// Clippy counts statements of the body; this counts what a reader scrolls.
const FUNCTION_LINES: usize = 75;

/// Files above [`FILE_LINES`] with the length they have. The list may only shrink: an entry must be exact, so a file that
/// has become shorter takes its entry down with it, and one that has grown is a finding.
const EXCEPTIONS: [(&str, usize); 0] = [];

/// Length of the file and its functions, tests not counted.
pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    let length = file.product_lines().count();
    let mut findings = long_functions(file);
    let listed = EXCEPTIONS.iter().any(|(path, _)| file.path.as_path() == std::path::Path::new(path));
    if length > FILE_LINES_AT_MOST {
        findings.push(too_long(file, length, FILE_LINES_AT_MOST));
    } else if length > FILE_LINES && !listed {
        findings.push(too_long(file, length, FILE_LINES));
    }
    findings
}

fn too_long(file: &SourceFile, length: usize, limit: usize) -> Finding {
    Finding::new(&file.path, 1, format!("{length} lines without tests (limit {limit}); split it by idea"))
}

/// The list of exceptions agrees with the files.
pub(super) fn exceptions(files: &[SourceFile]) -> Vec<Finding> {
    disagreements(&EXCEPTIONS, files)
}

fn disagreements(listed: &[(&str, usize)], files: &[SourceFile]) -> Vec<Finding> {
    let of = |path: &str| files.iter().find(|file| file.path == std::path::Path::new(path));
    let length = |path| of(path).map_or(0, |file| file.product_lines().count());
    listed
        .iter()
        .map(|(path, expected)| (path, expected, length(path)))
        .filter(|(_, expected, actual)| *expected != actual || *actual <= FILE_LINES)
        .map(|(path, expected, actual)| {
            let what = match actual {
                ..=FILE_LINES => "is short enough now; remove it from the exceptions".to_owned(),
                _ if actual < *expected => format!("has shrunk to {actual} lines; so must its exception"),
                _ => format!("has grown from {expected} to {actual} lines; split it by idea"),
            };
            Finding::new(path, 1, what)
        })
        .collect()
}

/// Rustfmt puts a function's closing brace below its first word: that is all the parsing this needs.
fn long_functions(file: &SourceFile) -> Vec<Finding> {
    let lines: Vec<_> = file.product_lines().collect();
    let mut findings = Vec::new();
    for (start, (number, line)) in lines.iter().enumerate() {
        let Some(indent) = function_indent(line) else { continue };
        let end = format!("{indent}}}");
        let length = lines[start..].iter().position(|(_, line)| *line == end).map_or(0, |position| position + 1);
        if length > FUNCTION_LINES {
            findings.push(Finding::new(
                &file.path,
                *number,
                format!("a function of {length} lines (limit {FUNCTION_LINES})"),
            ));
        }
    }
    findings
}

/// The white space before a function that has a body.
fn function_indent(line: &str) -> Option<&str> {
    let code = line.trim_start();
    let mut words = code.split(' ').skip_while(|word| {
        matches!(*word, "pub" | "const" | "async" | "unsafe") || word.starts_with("pub(") || *word == "super)"
    });
    let begins = words.next() == Some("fn") && !code.ends_with([';', '}']);
    begins.then(|| &line[..line.len() - code.len()])
}

#[cfg(test)]
mod tests {
    use super::super::files::tests::file;
    use super::*;

    fn function(body_lines: usize) -> String {
        format!("impl X {{\n    pub(crate) async fn long() {{\n{}    }}\n}}\n", "        one();\n".repeat(body_lines))
    }

    #[test]
    fn a_file_over_the_limit_is_found_and_its_tests_do_not_count() {
        let tests = format!("{}#[cfg(test)]\nmod tests {{\n{}}}\n", "one();\n".repeat(400), "one();\n".repeat(400));

        assert_eq!(check(&file("src/a.rs", &"one();\n".repeat(401))).len(), 1);
        assert_eq!(check(&file("src/a.rs", &tests)).len(), 0);
    }

    #[test]
    fn a_long_function_is_found_at_its_first_line() {
        let findings = check(&file("src/a.rs", &function(74)));

        assert_eq!(findings[0].to_string(), "src/a.rs:2: a function of 76 lines (limit 75)");
        assert_eq!(check(&file("src/a.rs", &function(73))).len(), 0);
    }

    #[test]
    fn an_exception_that_is_not_needed_or_not_exact_is_found() {
        let files = [
            file("short.rs", "one\n"),
            file("shrunk.rs", &"one\n".repeat(410)),
            file("grown.rs", &"one\n".repeat(450)),
        ];

        let findings = disagreements(&[("short.rs", 420), ("shrunk.rs", 420), ("grown.rs", 420)], &files);

        let messages: Vec<_> = findings.iter().map(|finding| finding.message.as_str()).collect();
        assert!(messages[0].starts_with("is short enough"), "{messages:?}");
        assert!(messages[1].starts_with("has shrunk to 410"), "{messages:?}");
        assert!(messages[2].starts_with("has grown from 420 to 450"), "{messages:?}");
        assert_eq!(disagreements(&[("shrunk.rs", 410)], &files), []);
    }
}
