//! The smallest provider that shows everything: `tests/terraform.rs` lets the real Terraform use it.

use std::process::ExitCode;

use tfplugin5::{
    About, Attr, Context, Diagnostic, Diagnostics, Path, Provider, Resource, Resources, Secret, block, blocks,
    computed, model, optional, required,
};

model! {
    /// The toy's configuration.
    struct Config {
        /// Put before every greeting.
        prefix: String = optional(),
    }
}

model! {
    /// How something is said.
    struct Voice {
        /// How loud, up to 10.
        volume: u16 = optional().default(5),
        /// In which language.
        language: String = optional(),
        /// How it sounds.
        accent: String = computed().renew_on(&["language"]),
        /// What is said besides, in this order.
        word: Vec<Attr<Word>> = blocks().at_most(2),
    }
}

model! {
    /// One word more.
    struct Word {
        /// The word.
        text: String = required(),
    }
}

model! {
    /// Something to find it by.
    struct Tag {
        /// Its name.
        name: String = required(),
        /// Its value; another one makes another greeting.
        value: String = optional().default("yes").replace(),
    }
}

model! {
    /// A greeting that lives in Terraform's state only.
    struct Greeting {
        /// Who is greeted. `panic` and `fail` do what they say.
        name: String = required().replace(),
        /// How often.
        times: u16 = optional().default(1),
        /// Change any value to draw a new code.
        rotate: std::collections::BTreeMap<String, Attr<String>> = optional(),
        /// The greeting.
        text: String = computed().renew_on(&["times"]),
        /// A secret nobody may see in a log.
        code: Secret = computed().sensitive().renew_on(&["rotate"]),
        /// How it is said.
        voice: Voice = block(),
        /// What to find it by.
        tag: Vec<Attr<Tag>> = blocks().unordered(),
    }
}

impl Greeting {
    fn complete(mut self, cx: &Context<String>) -> Result<Self, Diagnostics> {
        let (name, times) = (self.name.get()?, *self.times.get()?);
        match name.as_str() {
            "panic" => panic!("told to"),
            "fail" => return Err(Diagnostic::error("this name cannot be greeted; choose another").at("name").into()),
            _ => {}
        }
        tracing::info!(name, "greeting");
        self.text = format!("{}{name}", cx.client.repeat(times.into())).into();
        if self.code.is_unknown() {
            self.code = Secret::new(format!("secret-{}", std::process::id())).into();
        }
        if let Attr::Known(voice) = &mut self.voice {
            voice.accent = format!("of {}", voice.language.known().map_or("nobody", String::as_str)).into();
        }
        Ok(self)
    }
}

impl Voice {
    fn check(&self, path: &Path, diagnostics: &mut Diagnostics) {
        if self.volume.known().is_some_and(|volume| *volume > 10) {
            let path = path.attribute_of("volume");
            diagnostics.push(Diagnostic::error("nobody can shout that loud; set it to 10 or less").at_path(path));
        }
        let words = path.attribute_of("word");
        for (index, word) in self.word.known().into_iter().flatten().enumerate() {
            if word.known().is_some_and(|word| word.text.known().is_some_and(String::is_empty)) {
                let path = words.index(index).attribute_of("text");
                diagnostics.push(Diagnostic::error("an empty word says nothing; leave it out").at_path(path));
            }
        }
    }
}

impl Resource for Greeting {
    const TYPE_NAME: &'static str = "toy_greeting";
    type Client = String;

    fn validate(config: &Self, diagnostics: &mut Diagnostics) {
        if config.times == Attr::Known(0) {
            diagnostics.push(Diagnostic::error("a greeting is said at least once; set times to 1 or more").at("times"));
        }
        if let Attr::Known(voice) = &config.voice {
            voice.check(&Path::attribute("voice"), diagnostics);
        }
    }

    async fn create(planned: Self, cx: &mut Context<String>) -> Result<Self, Diagnostics> {
        cx.private = b"made by toy".to_vec();
        planned.complete(cx)
    }

    async fn read(prior: Self, cx: &mut Context<String>) -> Result<Option<Self>, Diagnostics> {
        assert_eq!(cx.private, b"made by toy", "private data comes back");
        Ok(Some(prior))
    }

    async fn update(_: Self, planned: Self, cx: &mut Context<String>) -> Result<Self, Diagnostics> {
        planned.complete(cx)
    }

    async fn delete(_: Self, _: &mut Context<String>) -> Result<(), Diagnostics> {
        Ok(())
    }

    async fn import(id: String, cx: &mut Context<String>) -> Result<Self, Diagnostics> {
        let (rotate, text, code, voice, tag) = (Attr::Null, Attr::Null, Attr::Null, Attr::Null, Attr::Null);
        cx.private = b"made by toy".to_vec();
        Self { name: id.into(), times: 1.into(), rotate, text, code, voice, tag }.complete(cx)
    }
}

struct Toy;

impl Provider for Toy {
    type Config = Config;
    type Client = String;

    fn configure(config: Config) -> Result<Option<String>, Diagnostics> {
        Ok(match config.prefix {
            Attr::Unknown => None,
            Attr::Null => Some("Hello ".to_owned()),
            Attr::Known(prefix) => Some(prefix),
        })
    }

    fn resources() -> Resources<String> {
        Resources::new().with::<Greeting>()
    }
}

fn main() -> ExitCode {
    tfplugin5::run::<Toy>(About {
        name: "toy",
        version: env!("CARGO_PKG_VERSION"),
        address: "registry.terraform.io/hetznat/toy",
        crate_name: env!("CARGO_CRATE_NAME"),
    })
}
