//! A directory with a configuration, a state document, and a Terraform that finds the built provider.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

pub(crate) struct Workspace {
    directory: TempDir,
}

impl Workspace {
    /// A gateway called home and whatever else `resources` declares.
    pub(crate) fn with(resources: &str) -> Self {
        let workspace = Self { directory: tempfile::tempdir().unwrap() };
        let plugins = workspace.path("plugins");
        fs::create_dir(&plugins).unwrap();
        symlink(env!("CARGO_BIN_EXE_terraform-provider-hetznat"), plugins.join("terraform-provider-hetznat")).unwrap();
        let overrides = format!("  dev_overrides {{\n    \"hetznat/hetznat\" = {plugins:?}\n  }}\n  direct {{}}");
        fs::write(workspace.path("terraform.rc"), format!("provider_installation {{\n{overrides}\n}}\n")).unwrap();
        workspace.write(resources);
        workspace
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Replaces the configuration.
    pub(crate) fn write(&self, resources: &str) {
        let source = "terraform {\n  required_providers {\n    hetznat = { source = \"hetznat/hetznat\" }\n  }\n}\n";
        let provider = "provider \"hetznat\" {\n  state = \"state.json\"\n}\n";
        fs::write(self.path("main.tf"), format!("{source}{provider}{resources}")).unwrap();
    }

    /// Changes the configuration.
    #[track_caller]
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let config = fs::read_to_string(self.path("main.tf")).unwrap();
        assert!(config.contains(from), "{config}");
        fs::write(self.path("main.tf"), config.replace(from, to)).unwrap();
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("terraform");
        command
            .args(arguments)
            .current_dir(self.directory.path())
            .env("TF_CLI_CONFIG_FILE", self.path("terraform.rc"))
            .env("TF_DATA_DIR", self.path(".terraform"))
            .env("TF_LOG", "trace")
            .env("TF_LOG_PATH", self.path("log"))
            .env("TF_IN_AUTOMATION", "1")
            .env("CHECKPOINT_DISABLE", "1")
            .env("TMPDIR", self.directory.path())
            .env_remove("HETZNAT_STATE");
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).output().expect("terraform is on the PATH"))
    }

    pub(crate) fn apply(&self) -> Run {
        self.run(&["apply", "-auto-approve", "-no-color"])
    }

    pub(crate) fn plan(&self) -> Run {
        self.run(&["plan", "-detailed-exitcode", "-no-color"])
    }

    #[track_caller]
    pub(crate) fn plans_nothing(&self) {
        let plan = self.plan();
        assert_eq!(plan.code, Some(0), "{}", plan.text);
    }

    /// The attributes of a resource as Terraform keeps them.
    #[track_caller]
    pub(crate) fn state(&self, address: &str) -> Value {
        let state: Value = serde_json::from_str(&self.run(&["show", "-json"]).succeeds().text).unwrap();
        let resources = state["values"]["root_module"]["resources"].as_array().unwrap();
        resources.iter().find(|resource| resource["address"] == address).expect("it is in the state")["values"].clone()
    }

    pub(crate) fn document_text(&self) -> String {
        fs::read_to_string(self.path("state.json")).unwrap()
    }

    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.document_text()).unwrap()
    }

    /// The entry of a peer of the gateway home.
    pub(crate) fn entry(&self, peer: &str) -> Value {
        self.document()["gateways"]["home"]["peers"][peer].clone()
    }

    /// What a person with an editor does.
    pub(crate) fn edit_document(&self, edit: impl FnOnce(&mut Value)) {
        let mut document = self.document();
        edit(&mut document);
        fs::write(self.path("state.json"), document.to_string()).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap()
    }
}

pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) text: String,
}

impl Run {
    pub(crate) fn of(output: Output) -> Self {
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        Self { code: output.status.code(), text }
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, Some(0), "{}", self.text);
        self
    }

    /// Fails, and says so; Terraform's line breaks and margins do not count.
    #[track_caller]
    pub(crate) fn fails_with(self, message: &str) -> Self {
        assert_eq!(self.code, Some(1), "{}", self.text);
        self.says(message)
    }

    #[track_caller]
    pub(crate) fn says(self, message: &str) -> Self {
        let words = |text: &str| text.split_whitespace().filter(|word| *word != "│").collect::<Vec<_>>().join(" ");
        assert!(words(&self.text).contains(&words(message)), "expected {message}\n{}", self.text);
        self
    }
}
