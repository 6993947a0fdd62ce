//! The `tfplugin5.Provider` service: decodes a request, lets the provider work, encodes what it says.
//!
//! Invariant: nothing a provider does takes the process down. A panic becomes a diagnostic; an error leaves the state as
//! Terraform knows it.

use std::sync::{Arc, Mutex, PoisonError};

use tonic::{Request, Response, Status};
use tracing::{debug, warn};

use crate::diagnostic::{Diagnostic, Diagnostics, Path};
use crate::proto::tfplugin5 as wire;
use crate::resource::{AnyResource, Context, PlanRequest, Provider, Resources};
use crate::ty::Type;
use crate::value::Value;
use crate::{Model, json, msgpack};

/// The answer of one call.
type Answer<T> = Result<Response<T>, Status>;

/// A provider while it serves.
pub(crate) struct Server<P: Provider> {
    resources: Resources<P::Client>,
    client: Mutex<Option<Arc<P::Client>>>,
}

impl<P: Provider> Server<P> {
    pub(crate) fn new() -> Self {
        Self { resources: P::resources(), client: Mutex::new(None) }
    }

    fn client(&self) -> Option<Arc<P::Client>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn context(&self, private: Vec<u8>) -> Result<Context<P::Client>, Diagnostics> {
        let unconfigured = || {
            Diagnostic::error("the provider is not configured yet: its configuration is known only after apply")
                .detail("Apply what it depends on first, for example with -target.")
        };
        let client = self.client().ok_or_else(unconfigured)?;
        Ok(Context { client, private, diagnostics: Diagnostics::default() })
    }

    fn configure(&self, request: wire::configure::Request) -> Result<wire::configure::Response, Diagnostics> {
        debug!(terraform = request.terraform_version, "configure");
        let config = decode(request.config, &P::Config::schema().ty())?;
        let client = P::configure(P::Config::decode(config, &Path::default())?)?;
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client.map(Arc::new);
        Ok(wire::configure::Response::default())
    }

    fn prepare_config(
        request: wire::prepare_provider_config::Request,
    ) -> Result<wire::prepare_provider_config::Response, Diagnostics> {
        let config = decode(request.config.clone(), &P::Config::schema().ty())?;
        P::Config::decode(config, &Path::default())?;
        Ok(wire::prepare_provider_config::Response { prepared_config: request.config, diagnostics: Vec::new() })
    }

    fn upgrade(
        &self,
        request: wire::upgrade_resource_state::Request,
    ) -> Result<wire::upgrade_resource_state::Response, Diagnostics> {
        let resource = self.resources.get(&request.type_name)?;
        let raw = request.raw_state.unwrap_or_default();
        let unusable = |error| {
            let summary = format!("the saved state of a {} cannot be read: {error}", request.type_name);
            Diagnostic::error(summary)
                .detail("Restore the state from a backup, or remove the resource from it and import it.")
        };
        let schema = resource.schema();
        let state = schema.complete(json::from_bytes(&raw.json, &schema.ty()).map_err(unusable)?);
        Ok(wire::upgrade_resource_state::Response { upgraded_state: encode(&state), diagnostics: Vec::new() })
    }

    async fn read(
        self: Arc<Self>,
        request: wire::read_resource::Request,
    ) -> Result<wire::read_resource::Response, Diagnostics> {
        let resource = self.resources.get(&request.type_name)?;
        if self.client().is_none() {
            debug!(resource = request.type_name, "not configured yet: state stays as it is");
            let (new_state, private) = (request.current_state, request.private);
            return Ok(wire::read_resource::Response { new_state, private, diagnostics: Vec::new() });
        }
        let mut cx = self.context(request.private)?;
        let prior = decode(request.current_state, &resource.schema().ty())?;
        let state = if prior == Value::Null { prior } else { resource.read(prior, &mut cx).await? };
        let diagnostics = cx.diagnostics.into_wire();
        Ok(wire::read_resource::Response { new_state: encode(&state), private: cx.private, diagnostics })
    }

    fn plan(
        &self,
        request: wire::plan_resource_change::Request,
    ) -> Result<wire::plan_resource_change::Response, Diagnostics> {
        let resource = self.resources.get(&request.type_name)?;
        let ty = resource.schema().ty();
        let config = decode(request.config, &ty)?;
        if config == Value::Null {
            return Ok(wire::plan_resource_change::Response {
                planned_state: encode(&Value::Null),
                planned_private: request.prior_private,
                ..Default::default()
            });
        }
        let prior = decode(request.prior_state, &ty)?;
        let planned =
            resource.plan(&PlanRequest { prior: &prior, config: &config, private: &request.prior_private })?;
        Ok(wire::plan_resource_change::Response {
            planned_state: encode(&planned.value),
            requires_replace: planned.requires_replace.iter().map(Path::to_wire).collect(),
            planned_private: request.prior_private,
            diagnostics: planned.diagnostics.into_wire(),
        })
    }

    async fn apply(
        self: Arc<Self>,
        request: wire::apply_resource_change::Request,
    ) -> Result<wire::apply_resource_change::Response, Diagnostics> {
        let resource = self.resources.get(&request.type_name)?;
        let ty = resource.schema().ty();
        let (prior, planned) = (decode(request.prior_state, &ty)?, decode(request.planned_state, &ty)?);
        let mut cx = self.context(request.planned_private)?;
        let state = resource.apply(prior, planned, &mut cx).await?;
        let diagnostics = cx.diagnostics.into_wire();
        Ok(wire::apply_resource_change::Response { new_state: encode(&state), private: cx.private, diagnostics })
    }

    async fn import(
        self: Arc<Self>,
        request: wire::import_resource_state::Request,
    ) -> Result<wire::import_resource_state::Response, Diagnostics> {
        let resource = self.resources.get(&request.type_name)?;
        let mut cx = self.context(Vec::new())?;
        let state = resource.import(request.id, &mut cx).await?;
        let imported = wire::import_resource_state::ImportedResource {
            type_name: request.type_name,
            state: encode(&state),
            private: cx.private,
        };
        let diagnostics = cx.diagnostics.into_wire();
        Ok(wire::import_resource_state::Response { imported_resources: vec![imported], diagnostics })
    }

    fn capabilities() -> Option<wire::ServerCapabilities> {
        Some(wire::ServerCapabilities {
            plan_destroy: true,
            get_provider_schema_optional: true,
            move_resource_state: false,
        })
    }
}

/// A value off the wire: MessagePack if there is any, else JSON, else null.
fn decode(value: Option<wire::DynamicValue>, ty: &Type) -> Result<Value, Diagnostics> {
    let value = value.unwrap_or_default();
    let undecodable =
        |error: String| Diagnostic::error(format!("a value from Terraform does not fit the schema: {error}"));
    let decoded = if !value.msgpack.is_empty() {
        msgpack::from_bytes(&value.msgpack, ty).map_err(|error| undecodable(error.to_string()))
    } else if !value.json.is_empty() {
        json::from_bytes(&value.json, ty).map_err(|error| undecodable(error.to_string()))
    } else {
        Ok(Value::Null)
    };
    decoded.map_err(Diagnostics::from)
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every message that holds a value")]
fn encode(value: &Value) -> Option<wire::DynamicValue> {
    Some(wire::DynamicValue { msgpack: msgpack::to_bytes(value), json: Vec::new() })
}

/// Runs one request to its end, whatever happens to it, and turns what went wrong into an answer.
async fn answer<T: Send + 'static>(
    work: impl Future<Output = Result<T, Diagnostics>> + Send + 'static,
    refuse: impl FnOnce(Vec<wire::Diagnostic>) -> T,
) -> Answer<T> {
    let result = tokio::spawn(work).await.unwrap_or_else(|failure| {
        warn!(%failure, "a request panicked");
        Err(Diagnostic::error("the provider met a bug in itself")
            .detail("The panic is in Terraform's log (TF_LOG=debug). Please report it with what you did.")
            .into())
    });
    Ok(Response::new(result.unwrap_or_else(|diagnostics| refuse(diagnostics.into_wire()))))
}

#[tonic::async_trait]
impl<P: Provider> wire::provider_server::Provider for Server<P> {
    async fn get_metadata(
        self: Arc<Self>,
        _: Request<wire::get_metadata::Request>,
    ) -> Answer<wire::get_metadata::Response> {
        let named = |(name, _): (&str, &dyn AnyResource<P::Client>)| wire::get_metadata::ResourceMetadata {
            type_name: name.to_owned(),
        };
        Ok(Response::new(wire::get_metadata::Response {
            server_capabilities: Self::capabilities(),
            resources: self.resources.iter().map(named).collect(),
            ..Default::default()
        }))
    }

    async fn get_schema(
        self: Arc<Self>,
        _: Request<wire::get_provider_schema::Request>,
    ) -> Answer<wire::get_provider_schema::Response> {
        let schemas = self.resources.iter().map(|(name, resource)| (name.to_owned(), resource.schema().to_wire()));
        Ok(Response::new(wire::get_provider_schema::Response {
            provider: Some(P::Config::schema().to_wire()),
            resource_schemas: schemas.collect(),
            server_capabilities: Self::capabilities(),
            ..Default::default()
        }))
    }

    async fn prepare_provider_config(
        self: Arc<Self>,
        request: Request<wire::prepare_provider_config::Request>,
    ) -> Answer<wire::prepare_provider_config::Response> {
        let work = async move { Self::prepare_config(request.into_inner()) };
        answer(work, |diagnostics| wire::prepare_provider_config::Response { diagnostics, ..Default::default() }).await
    }

    async fn validate_resource_type_config(
        self: Arc<Self>,
        request: Request<wire::validate_resource_type_config::Request>,
    ) -> Answer<wire::validate_resource_type_config::Response> {
        let request = request.into_inner();
        let work = async move {
            let resource = self.resources.get(&request.type_name)?;
            let diagnostics = resource.validate(decode(request.config, &resource.schema().ty())?).into_wire();
            Ok(wire::validate_resource_type_config::Response { diagnostics })
        };
        answer(work, |diagnostics| wire::validate_resource_type_config::Response { diagnostics }).await
    }

    async fn upgrade_resource_state(
        self: Arc<Self>,
        request: Request<wire::upgrade_resource_state::Request>,
    ) -> Answer<wire::upgrade_resource_state::Response> {
        let work = async move { self.upgrade(request.into_inner()) };
        answer(work, |diagnostics| wire::upgrade_resource_state::Response { diagnostics, ..Default::default() }).await
    }

    async fn configure(
        self: Arc<Self>,
        request: Request<wire::configure::Request>,
    ) -> Answer<wire::configure::Response> {
        let work = async move { Self::configure(&self, request.into_inner()) };
        answer(work, |diagnostics| wire::configure::Response { diagnostics }).await
    }

    async fn read_resource(
        self: Arc<Self>,
        request: Request<wire::read_resource::Request>,
    ) -> Answer<wire::read_resource::Response> {
        let request = request.into_inner();
        let (new_state, private) = (request.current_state.clone(), request.private.clone());
        let refuse = |diagnostics| wire::read_resource::Response { new_state, private, diagnostics };
        answer(self.read(request), refuse).await
    }

    async fn plan_resource_change(
        self: Arc<Self>,
        request: Request<wire::plan_resource_change::Request>,
    ) -> Answer<wire::plan_resource_change::Response> {
        let work = async move { self.plan(request.into_inner()) };
        answer(work, |diagnostics| wire::plan_resource_change::Response { diagnostics, ..Default::default() }).await
    }

    async fn apply_resource_change(
        self: Arc<Self>,
        request: Request<wire::apply_resource_change::Request>,
    ) -> Answer<wire::apply_resource_change::Response> {
        let request = request.into_inner();
        // The prior state goes back with an error: what failed to change is what it was. At creation that is null.
        let (new_state, private) = (request.prior_state.clone(), request.planned_private.clone());
        let refuse = |diagnostics| wire::apply_resource_change::Response { new_state, private, diagnostics };
        answer(self.apply(request), refuse).await
    }

    async fn import_resource_state(
        self: Arc<Self>,
        request: Request<wire::import_resource_state::Request>,
    ) -> Answer<wire::import_resource_state::Response> {
        let refuse = |diagnostics| wire::import_resource_state::Response { diagnostics, ..Default::default() };
        answer(self.import(request.into_inner()), refuse).await
    }

    async fn stop(self: Arc<Self>, _: Request<wire::stop::Request>) -> Answer<wire::stop::Response> {
        // Requests under way are short and end by themselves: cutting one off could leave an entry without its state.
        debug!("stop: what is under way is finished");
        Ok(Response::new(wire::stop::Response::default()))
    }
}
