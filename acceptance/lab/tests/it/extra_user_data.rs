//! The user's own user data beside ours, as cloud-init itself reads them: what it makes of both is what it makes of each.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use lab::cloud_init::{CloudInit, Part, Processed};
use lab::site::{Site, on_site};
use serde_json::{Map, Value, json};

const CONFIG: &str = "#cloud-config\nruncmd: [[echo, one]]\nwrite_files: [{path: /x, content: x}]\npackages: [nginx]\n";
const SCRIPT: &str = "#!/bin/sh\necho one\n";
/// As Terraform's `cloudinit_config` writes it.
const MIME: &str = "Content-Type: multipart/mixed; boundary=\"MIMEBOUNDARY\"\nMIME-Version: 1.0\r\n\r\n--MIMEBOUNDARY\r\n\
    Content-Transfer-Encoding: 7bit\r\nContent-Type: text/cloud-config\r\nMime-Version: 1.0\r\n\r\n\
    #cloud-config\nruncmd: [one]\n\r\n--MIMEBOUNDARY\r\nContent-Transfer-Encoding: 7bit\r\n\
    Content-Type: text/cloud-config\r\nMime-Version: 1.0\r\nX-Merge-Type: list(append)+dict(recurse_list)+str()\r\n\r\n\
    #cloud-config\nruncmd: [two]\n\r\n--MIMEBOUNDARY\r\nContent-Disposition: attachment; filename=\"boot.sh\"\r\n\
    Content-Transfer-Encoding: 7bit\r\nContent-Type: text/x-shellscript-per-boot\r\nMime-Version: 1.0\r\n\r\n\
    #!/bin/sh\necho boot\n\r\n--MIMEBOUNDARY--\r\n";

/// What means the same to cloud-init with ours and without.
fn kept(site: &Site) -> Result<BTreeMap<String, String>> {
    let included = site.lab.workstation.directory().join("included");
    std::fs::write(&included, CONFIG)?;
    let include = format!("#include\nfile://{}\n", included.display());
    let archive = "#cloud-config-archive\n- {type: text/cloud-config, content: \"#cloud-config\\npackages: [nginx]\\n\"}\n\
                   - \"#!/bin/sh\\necho one\\n\"\n";
    let handler = "#part-handler\ndef list_types():\n    return ['text/x-none']\ndef handle_part(*_):\n    pass\n";
    let texts = [
        ("config", CONFIG.to_owned()),
        ("nulls", "#cloud-config\nruncmd: null\nwrite_files: {}\nbootcmd: []\n".to_owned()),
        (
            "merge-how",
            format!(
                "{CONFIG}merge_how: [{{name: list, settings: [append]}}, {{name: dict, settings: [no_replace]}}]\n"
            ),
        ),
        ("not-yaml", "#cloud-config\nruncmd: [\n".to_owned()),
        ("unicode", "#cloud-config\nwrite_files: [{path: /x, content: 'gr\u{fc}\u{df}e \u{1f600}'}]\n".to_owned()),
        ("script", SCRIPT.to_owned()),
        ("script-unicode", "#!/bin/sh\necho '\u{fc}\u{1f600}\u{7f}\u{1}'\n".to_owned()),
        ("no-newline-at-end", "#!/bin/sh\necho one".to_owned()),
        ("include", include),
        ("archive", archive.to_owned()),
        (
            "jsonp",
            "#cloud-config-jsonp\n[{\"op\": \"add\", \"path\": \"/packages\", \"value\": [\"nginx\"]}]\n".to_owned(),
        ),
        ("jinja", "## template: jinja\n#cloud-config\nhostname: '{{ v1.region }}'\n".to_owned()),
        ("boothook", "#cloud-boothook\n#!/bin/sh\necho one\n".to_owned()),
        ("part-handler", handler.to_owned()),
        ("mime", MIME.to_owned()),
        ("base64-mime", packed(site, "base64.b64encode", MIME)?),
        ("gzip-config", packed(site, GZIP, CONFIG)?),
        ("gzip-script", packed(site, GZIP, SCRIPT)?),
    ];
    Ok(texts.map(|(name, text)| (name.to_owned(), text)).into())
}

const GZIP: &str = "lambda text: base64.b64encode(gzip.compress(text))";

fn packed(site: &Site, how: &str, text: &str) -> Result<String> {
    let program = format!("import base64, gzip, sys; print(({how})(sys.argv[1].encode()).decode(), end='')");
    site.lab.workstation.run(&["python3", "-c", &program, text])
}

/// What cloud-init ignores alone, and understands beside ours: a text for each, and what it stands for.
fn mended(site: &Site) -> Result<[(&'static str, String, &'static str); 4]> {
    Ok([
        ("carriage-returns", CONFIG.replace('\n', "\r\n"), CONFIG),
        ("byte-order-mark", format!("\u{feff}{CONFIG}"), CONFIG),
        ("script-of-windows", SCRIPT.replace('\n', "\r\n"), SCRIPT),
        ("gzip-mime", packed(site, GZIP, MIME)?, MIME),
    ])
}

/// The user data of one peer for each text, by the real terraform.
fn rendered(site: &mut Site, texts: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>> {
    let prefix = |number: usize| json!(format!("2001:db8:1:{number:x}::/64"));
    let servers: Map<_, _> =
        texts.keys().enumerate().map(|(number, name)| (name.clone(), prefix(number + 1))).collect();
    site.terraform.set("servers", Value::Object(servers))?;
    site.terraform.set("extra_user_data", json!(texts))?;
    site.terraform.apply()?;
    let user_data = site.terraform.run(&["output", "-json", "user_data"])?;
    Ok(serde_json::from_str(&user_data)?)
}

/// Ours first and whole, then the user's as it is alone.
fn check(name: &str, both: &Processed, alone: &Processed) {
    let [ours, users @ ..] = both.parts.as_slice() else { panic!("{name}: no part") };
    assert_eq!((ours.kind.as_str(), ours.name.as_str()), ("text/cloud-boothook", "hetznat"), "{name}");
    assert!(ours.text.starts_with("#cloud-boothook\n#!/bin/sh\n"), "{name}");
    let end = if name.starts_with("group") { "exec sh /run/hetznat/boothook\n" } else { "exit 0\n" };
    assert!(ours.text.ends_with(end), "{name}");
    let content = |parts: &[Part]| parts.iter().map(|part| (part.kind.clone(), part.text.clone())).collect::<Vec<_>>();
    assert_eq!(content(users), content(&alone.parts), "{name}");
    assert_eq!(both.config, alone.config, "{name}");
}

#[test]
fn whatever_cloud_init_takes_rides_along_and_neither_side_loses_anything() {
    on_site(|site| {
        let (kept, mended) = (kept(site)?, mended(site)?);
        let mut texts = kept.clone();
        texts.extend(mended.iter().map(|(name, text, _)| ((*name).to_owned(), text.clone())));
        let rendered = rendered(site, &texts)?;
        let mut alone = kept;
        alone.extend(mended.iter().map(|(name, _, meant)| ((*name).to_owned(), (*meant).to_owned())));

        let mut versions = Vec::new();
        for cloud_init in CloudInit::two_versions()? {
            let (version, alone) = cloud_init.process(&alone)?;
            let (_, both) = cloud_init.process(&rendered)?;
            for (name, both) in &both {
                check(&format!("{name}, {version}"), both, alone.get(name).context("a result for each")?);
            }
            assert_eq!(both.len(), texts.len());
            assert_eq!(both["script"].parts[1].name, alone["script"].parts[0].name, "a lone script keeps its path");
            assert_eq!(alone["config"].config["runcmd"], json!([["echo", "one"]]), "the comparison compares something");
            assert_eq!(alone["mime"].config["runcmd"], json!(["one", "two"]));
            assert_eq!(cloud_init.complaints(CONFIG)?, "", "{version}");
            assert_ne!(cloud_init.complaints("#cloud-config\nruncmd: 7\n")?, "", "{version} has a schema");
            versions.push(version);
        }
        eprintln!("read by cloud-init {}", versions.join(" and "));
        assert_ne!(versions[0], versions[1]);
        Ok(())
    });
}

const GROUP: &str = r#"
variable "group" {
  type = string
}

resource "hetznat_peer_group" "workers" {
  gateway         = hetznat_gateway.home.link
  name            = "workers"
  extra_user_data = var.group
}

output "group" {
  value     = { user_data = hetznat_peer_group.workers.user_data }
  sensitive = true
}
"#;

#[test]
fn what_rides_along_with_a_group_is_read_as_it_is_alone() {
    on_site(|site| {
        let one = |text: &str| BTreeMap::from([("group".to_owned(), text.to_owned())]);
        site.terraform.set("group", json!(MIME))?;
        site.terraform.write("group.tf", GROUP)?;
        site.terraform.apply()?;
        let user_data = site.terraform.output_entry("group", "user_data")?;

        for cloud_init in CloudInit::two_versions()? {
            let (version, alone) = cloud_init.process(&one(MIME))?;
            let (_, both) = cloud_init.process(&one(&user_data))?;
            check(&format!("group, {version}"), &both["group"], &alone["group"]);
        }
        Ok(())
    });
}
