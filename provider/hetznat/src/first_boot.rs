//! What an author may ask of a first boot, of one server or of a group's: judged at plan, rendered at apply.

use cloud_init::{FirstBoot, Format, RenderError};
use tfplugin5::{Attr, Diagnostic};

/// The attributes that say it.
pub(crate) struct Wishes<'a> {
    pub(crate) render_format: &'a Attr<u16>,
    pub(crate) extra_user_data: &'a Attr<String>,
    pub(crate) metadata_guard: &'a Attr<bool>,
    pub(crate) docker: &'a Attr<bool>,
}

impl<'a> Wishes<'a> {
    /// For cloud-init. What has no format is older than formats are.
    ///
    /// # Errors
    /// There is no such format.
    pub(crate) fn first_boot(&self) -> Result<FirstBoot<'a>, Diagnostic> {
        let unknown = |number: &u16| {
            let known = Format::ALL.map(|format| format.number().to_string()).join(" or ");
            Diagnostic::error(format!("render_format must be {known} (got {number})")).at("render_format")
        };
        let format = match self.render_format.known() {
            Some(number) => Format::from_number(*number).ok_or_else(|| unknown(number))?,
            None => Format::V1,
        };
        let is_set = |flag: &Attr<bool>| flag.known().copied().unwrap_or_default();
        Ok(FirstBoot {
            format,
            extra: self.extra_user_data.known().map(String::as_str),
            metadata_guard: is_set(self.metadata_guard),
            docker: is_set(self.docker),
        })
    }

    /// A server that cannot be told what its author wants had better not be made: what `check` says of it.
    pub(crate) fn problem(&self, check: impl Fn(&FirstBoot<'_>) -> Result<(), RenderError>) -> Option<Diagnostic> {
        if self.extra_user_data.is_unknown() || self.render_format.is_unknown() {
            return None;
        }
        let boot = match self.first_boot() {
            Ok(boot) => boot,
            Err(diagnostic) => return Some(diagnostic),
        };
        let error = check(&boot).err()?;
        let attribute =
            if let RenderError::NeedsNewerFormat { attribute } = error { attribute } else { "extra_user_data" };
        Some(Diagnostic::error(error.to_string()).at(attribute))
    }
}
