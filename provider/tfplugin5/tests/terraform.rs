//! The real Terraform drives a real process: handshake, mutual TLS, a plan's life, errors, panics and the end.
//!
//! Without `terraform` on the PATH these tests fail: there is no substitute for the program this crate exists for.

#![expect(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A directory with a configuration and a Terraform that finds the toy provider.
struct Workspace(TempDir);

impl Workspace {
    fn with(resources: &str) -> Self {
        let workspace = Self(tempfile::tempdir().unwrap());
        let plugins = workspace.path("plugins");
        fs::create_dir(&plugins).unwrap();
        symlink(toy(), plugins.join("terraform-provider-toy")).unwrap();
        let overrides = format!("dev_overrides {{ \"hetznat/toy\" = {plugins:?} }}\n direct {{}}");
        fs::write(workspace.path("terraform.rc"), format!("provider_installation {{\n {overrides}\n}}\n")).unwrap();
        workspace.write(resources);
        workspace
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, resources: &str) {
        let header = "terraform {\n  required_providers {\n    toy = { source = \"hetznat/toy\" }\n  }\n}\n";
        fs::write(self.path("main.tf"), format!("{header}{resources}")).unwrap();
    }

    fn terraform(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("terraform");
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("TF_CLI_CONFIG_FILE", self.path("terraform.rc"))
            .env("TF_LOG", "trace")
            .env("TF_LOG_PATH", self.path("log"))
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TMPDIR", self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.terraform(arguments).output().expect("terraform is on the PATH"))
    }

    fn apply(&self) -> Run {
        self.run(&["apply", "-auto-approve", "-no-color"])
    }

    #[track_caller]
    fn plans_nothing(&self) {
        let plan = self.run(&["plan", "-detailed-exitcode", "-no-color"]);
        assert_eq!(plan.code, Some(0), "{}", plan.text);
    }

    /// What Terraform keeps of the greeting.
    fn state(&self) -> Value {
        let state: Value = serde_json::from_slice(&fs::read(self.path("terraform.tfstate")).unwrap()).unwrap();
        let resources = state["resources"].as_array().unwrap();
        let greeting = resources.iter().find(|resource| resource["type"] == "toy_greeting").unwrap();
        let mut attributes = greeting["instances"][0]["attributes"].clone();
        // Terraform writes one block as it writes a list of one.
        if let Some(one) = attributes["voice"].as_array() {
            attributes["voice"] = one.first().cloned().unwrap_or(Value::Null);
        }
        attributes
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

struct Run {
    code: Option<i32>,
    text: String,
}

impl Run {
    fn of(output: Output) -> Self {
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).join("\n");
        Self { code: output.status.code(), text }
    }

    #[track_caller]
    fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self
    }

    #[track_caller]
    fn fails_with(self, message: &str) -> Self {
        assert!(self.code == Some(1) && self.text.contains(message), "{}", self.text);
        self
    }
}

/// The example, which cargo builds along with the tests.
fn toy() -> PathBuf {
    let this = std::env::current_exe().unwrap();
    let toy = this.parent().and_then(Path::parent).unwrap().join("examples/toy");
    assert!(toy.exists(), "{} is missing: run cargo test or cargo nextest run without --test", toy.display());
    toy
}

const GREETING: &str = "resource \"toy_greeting\" \"world\" {\n  name = \"world\"\n}\n";

#[test]
fn what_is_applied_plans_empty_updates_in_place_and_goes() {
    let workspace = Workspace::with(GREETING);

    workspace.apply().succeeds();
    assert_eq!(workspace.run(&["plan", "-detailed-exitcode"]).code, Some(0));
    workspace.write(&GREETING.replace("}", "  times = 2\n}"));
    let update = workspace.apply().succeeds();
    assert!(update.text.contains("0 added, 1 changed, 0 destroyed"), "{}", update.text);
    workspace.run(&["destroy", "-auto-approve"]).succeeds();
}

#[test]
fn the_process_ends_by_itself_and_leaves_no_socket() {
    let workspace = Workspace::with(GREETING);

    workspace.apply().succeeds();

    let log = workspace.log();
    assert!(log.contains("using plugin: version=5"), "{log}");
    assert!(!log.contains("failed to exit gracefully"), "{log}");
    assert!(!log.contains("plugin process exited: error"), "{log}");
    let left: Vec<_> = fs::read_dir(workspace.0.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with("plugin-")), "{left:?}");
}

#[test]
fn logs_arrive_as_structured_lines_without_secrets() {
    let workspace = Workspace::with(GREETING);

    workspace.apply().succeeds();

    let log = workspace.log();
    let line = log.lines().find(|line| line.contains("toy: greeting")).expect("the event is logged");
    assert!(line.contains("[INFO]") && line.contains("name=world"), "{line}");
    assert!(!log.contains("secret-"), "{log}");
}

#[test]
fn tls_can_be_switched_off_as_terraform_allows() {
    let workspace = Workspace::with(GREETING);
    let mut command = workspace.terraform(&["apply", "-auto-approve"]);

    Run::of(command.env("TF_DISABLE_PLUGIN_TLS", "1").output().unwrap()).succeeds();
}

#[test]
fn errors_point_at_their_attribute() {
    let workspace = Workspace::with(&GREETING.replace("\"world\"\n", "\"fail\"\n"));

    workspace.apply().fails_with("name = \"fail\"").fails_with("this name cannot be greeted; choose another");
    workspace.write(&GREETING.replace("}", "  times = 0\n}"));
    workspace.run(&["validate", "-no-color"]).fails_with("times = 0").fails_with("a greeting is said at least once");
    workspace.write(&GREETING.replace("}", "  times = 65536\n}"));
    workspace.run(&["validate", "-no-color"]).fails_with("times must be a whole number between 0 and 65535");
}

/// The greeting with more in it.
fn greeting_with(blocks: &str) -> String {
    GREETING.replace('}', &format!("  {blocks}\n}}"))
}

#[test]
fn a_block_plans_and_applies_like_what_is_around_it() {
    let workspace = Workspace::with(&greeting_with("voice {\n language = \"de\"\n word {\n text = \"ja\"\n }\n }"));
    workspace.apply().succeeds();
    let voice = workspace.state()["voice"].clone();
    assert_eq!(voice, json!({"volume": 5, "language": "de", "accent": "of de", "word": [{"text": "ja"}]}));
    workspace.plans_nothing();

    workspace.write(&greeting_with("voice {\n language = \"de\"\n volume = 7\n }"));
    let plan = workspace.run(&["plan", "-no-color"]).succeeds();
    assert!(plan.text.contains("~ volume   = 5 -> 7"), "{}", plan.text);
    assert!(plan.text.contains("- word {") && !plan.text.contains("accent   = \"of de\" ->"), "{}", plan.text);
    let apply = workspace.apply().succeeds();

    assert!(apply.text.contains("0 added, 1 changed, 0 destroyed"), "{}", apply.text);
    assert_eq!(workspace.state()["voice"], json!({"volume": 7, "language": "de", "accent": "of de", "word": []}));
    workspace.plans_nothing();
}

#[test]
fn an_empty_block_is_there_and_an_absent_one_is_not() {
    let workspace = Workspace::with(&greeting_with("voice {}"));
    workspace.apply().succeeds();
    let empty = json!({"volume": 5, "language": null, "accent": "of nobody", "word": []});
    assert_eq!(workspace.state()["voice"], empty);
    workspace.plans_nothing();

    workspace.write(GREETING);
    workspace.apply().succeeds();

    assert_eq!(workspace.state()["voice"], json!(null));
    assert_eq!(workspace.state()["tag"], json!([]));
    workspace.plans_nothing();
}

#[test]
fn values_inside_a_block_and_whole_blocks_may_be_unknown_until_apply() {
    let unknown = "resource \"terraform_data\" \"texts\" {\n input = [\"fr\", \"non\"]\n}\n";
    let texts = "terraform_data.texts.output";
    let voice = format!(
        "voice {{\n language = {texts}[0]\n dynamic \"word\" {{\n for_each = {texts}\n content {{\n text = word.value\n \
         }}\n }}\n }}"
    );
    let workspace = Workspace::with(&format!("{unknown}{}", greeting_with(&voice)));

    let plan = workspace.run(&["plan", "-no-color"]).succeeds();
    assert!(plan.text.contains("+ language = (known after apply)"), "{}", plan.text);
    workspace.apply().succeeds();

    let voice = json!({"volume": 5, "language": "fr", "accent": "of fr", "word": [{"text": "fr"}, {"text": "non"}]});
    assert_eq!(workspace.state()["voice"], voice);
    workspace.plans_nothing();
}

#[test]
fn errors_point_into_a_block() {
    let workspace = Workspace::with(&greeting_with("voice {\n volume = 11\n }"));

    let shout = workspace.run(&["validate", "-no-color"]).fails_with("nobody can shout that loud");
    assert!(shout.text.contains("volume = 11"), "{}", shout.text);
    workspace.write(&greeting_with("voice {\n volume = 65536\n }"));
    let large = workspace.run(&["validate", "-no-color"]);
    let large = large.fails_with("voice.volume must be a whole number between 0 and 65535");
    assert!(large.text.contains("volume = 65536"), "{}", large.text);
    workspace.write(&greeting_with("voice {\n word {\n text = \"a\"\n }\n word {\n text = \"\"\n }\n }"));
    let empty = workspace.run(&["validate", "-no-color"]).fails_with("an empty word says nothing");
    assert!(empty.text.contains("text = \"\""), "{}", empty.text);
    workspace.write(&greeting_with(&format!("voice {{\n {} }}", "word {\n text = \"a\"\n }\n ".repeat(3))));
    workspace.run(&["validate", "-no-color"]).fails_with("No more than 2 \"word\" blocks are allowed");
}

#[test]
fn a_set_of_blocks_has_no_order_and_may_replace() {
    let tags = |names: [&str; 2], value: &str| {
        let tag = |name| format!("tag {{\n name = \"{name}\"\n {value}\n }}\n");
        greeting_with(&names.map(tag).concat())
    };
    let workspace = Workspace::with(&tags(["a", "b"], ""));
    workspace.apply().succeeds();
    assert_eq!(workspace.state()["tag"], json!([{"name": "a", "value": "yes"}, {"name": "b", "value": "yes"}]));

    workspace.write(&tags(["b", "a"], ""));
    workspace.plans_nothing();
    workspace.write(&tags(["a", "b"], "value = \"no\""));
    let plan = workspace.run(&["plan", "-no-color"]).succeeds();

    assert!(plan.text.contains("# forces replacement"), "{}", plan.text);
    workspace.apply().succeeds();
    workspace.plans_nothing();
}

#[test]
fn a_panic_is_a_diagnostic_and_its_trace_is_shown() {
    let workspace = Workspace::with(&GREETING.replace("\"world\"\n", "\"panic\"\n"));

    let run = workspace.apply().fails_with("the provider met a bug in itself");

    assert!(run.text.contains("panic: told to"), "{}", run.text);
}

#[test]
fn an_unknown_configuration_waits_for_apply() {
    let unknown = "resource \"terraform_data\" \"prefix\" {\n  input = \"Hi \"\n}\nprovider \"toy\" {\n  prefix = \
                   terraform_data.prefix.output\n}\n";
    let workspace = Workspace::with(&format!("{unknown}{GREETING}"));

    workspace.apply().succeeds();
    let shown = workspace.run(&["state", "show", "toy_greeting.world"]).succeeds();

    assert!(shown.text.contains("\"Hi world\""), "{}", shown.text);
}

#[test]
fn import_finds_what_the_id_names() {
    let workspace = Workspace::with(GREETING);

    workspace.run(&["import", "toy_greeting.world", "world"]).succeeds();

    assert_eq!(workspace.run(&["plan", "-detailed-exitcode"]).code, Some(0));
}

#[test]
fn replacement_makes_a_new_one() {
    let workspace = Workspace::with(GREETING);
    workspace.apply().succeeds();

    workspace.write(&GREETING.replace("= \"world\"", "= \"moon\""));
    let plan = workspace.run(&["plan", "-no-color"]).succeeds();

    assert!(plan.text.contains("# forces replacement"), "{}", plan.text);
}

#[test]
fn a_person_who_starts_it_is_told_that_it_is_a_plugin() {
    let output = Command::new(toy()).env_remove("TF_PLUGIN_MAGIC_COOKIE").output().unwrap();

    let run = Run::of(output).fails_with("This binary is a plugin. These are not meant to be executed directly.");
    assert!(run.text.starts_with('\n'), "nothing on standard output: {}", run.text);
}

#[test]
fn a_client_that_speaks_no_tls_is_refused() {
    let workspace = Workspace::with(GREETING);
    let mut plugin = Command::new(toy())
        .env("TF_PLUGIN_MAGIC_COOKIE", COOKIE)
        .env("PLUGIN_CLIENT_CERT", include_str!("terraform-client.pem"))
        .env("PLUGIN_UNIX_SOCKET_DIR", workspace.0.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let line = first_line_with(&mut plugin, "|grpc|");

    let mut stream = UnixStream::connect(line.split('|').nth(3).unwrap()).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let ended = stream.read_to_end(&mut answer);

    // A TLS alert or nothing at all; never an HTTP/2 frame.
    assert!(ended.is_err() || answer.first().is_none_or(|byte| *byte == 0x15), "{answer:x?}");
    plugin.kill().unwrap();
    plugin.wait().unwrap();
}

#[test]
fn one_process_in_debug_mode_serves_several_runs_and_ends_with_ctrl_c() {
    let workspace = Workspace::with(GREETING);
    let mut plugin = Command::new(toy()).arg("--debug").stdout(Stdio::piped()).spawn().unwrap();
    let line = first_line_with(&mut plugin, "TF_REATTACH_PROVIDERS=");
    let (_, reattach) = line.trim().split_once('=').unwrap();

    for arguments in [["apply", "-auto-approve"], ["plan", "-detailed-exitcode"]] {
        let mut command = workspace.terraform(&arguments);
        Run::of(command.env("TF_REATTACH_PROVIDERS", reattach.trim_matches('\'')).output().unwrap()).succeeds();
    }

    Command::new("kill").args(["-INT", &plugin.id().to_string()]).status().unwrap();
    assert!(plugin.wait().unwrap().success());
}

#[test]
fn an_orphan_ends_by_itself() {
    let directory = tempfile::tempdir().unwrap();
    let output = directory.path().join("output");
    let mut shell = Command::new("sh")
        .args(["-c", "\"$0\" >\"$1\" & echo pid $!; read line", toy().to_str().unwrap(), output.to_str().unwrap()])
        .env("TF_PLUGIN_MAGIC_COOKIE", COOKIE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = first_line_with(&mut shell, "pid ").trim_start_matches("pid ").to_owned();
    // A process that has ended but was not waited for is still in /proc, but has no program any more.
    let runs = || Path::new("/proc").join(&pid).join("exe").read_link().is_ok();
    wait_for(|| fs::read_to_string(&output).is_ok_and(|line| line.ends_with("|grpc|\n")));
    assert!(runs());

    drop(shell.stdin.take());
    shell.wait().unwrap();

    wait_for(|| !runs());
}

fn wait_for(condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What Terraform says to every plugin.
const COOKIE: &str = "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2";

fn first_line_with(plugin: &mut Child, text: &str) -> String {
    let lines = BufReader::new(plugin.stdout.take().unwrap()).lines();
    lines.map(Result::unwrap).find(|line| line.contains(text)).expect("the plugin says where it listens")
}
