//! Files with `{{key}}` in them. Values are put in verbatim, so they may only be what no quoting can be broken with.

use zeroize::Zeroizing;

/// Appends `template` to `output`, each `{{key}}` replaced by its value.
///
/// Values that are not whole files come from types whose text is ASCII without quotes, backslashes and line breaks.
pub(crate) fn render(template: &str, values: &[(&str, &str)], output: &mut Zeroizing<String>) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let (key, after) = after.split_once("}}").expect("every {{ in a template has its }}");
        let value = values.iter().find(|(name, _)| *name == key).map(|(_, value)| *value);
        output.push_str(before);
        output.push_str(value.expect("every key in a template has a value"));
        rest = after;
    }
    output.push_str(rest);
}

/// `file` without the comments that explain it to its maintainers: user data is small. A line `# hetznat: …` stays, so
/// that whoever finds the file on a server knows whose it is.
pub(crate) fn without_comments(file: &str) -> String {
    let is_kept = |line: &&str| {
        let text = line.trim_start();
        !text.starts_with("# ") || line.starts_with("# hetznat: ")
    };
    file.split_inclusive('\n').filter(is_kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_replaced_once_and_the_rest_is_left_alone() {
        let mut output = Zeroizing::new(String::from("> "));

        render("a{{x}}b{{y}}{{x}} ${z} {c}", &[("x", "1"), ("y", "{{x}}")], &mut output);

        assert_eq!(*output, "> a1b{{x}}1 ${z} {c}");
    }

    #[test]
    fn comments_go_but_shebang_origin_and_code_stay() {
        let file = "#!/bin/sh\n# hetznat: whose\n# why\n  # shellcheck disable=x\necho '# no'  # aside\n#x\n";

        assert_eq!(without_comments(file), "#!/bin/sh\n# hetznat: whose\necho '# no'  # aside\n#x\n");
    }
}
