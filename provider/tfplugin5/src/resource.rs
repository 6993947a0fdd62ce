//! What a provider's author writes: [`Provider`] and [`Resource`]; and what the server needs of them: values, not types.

use std::any::type_name;
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics, Path};
use crate::model::Model;
use crate::plan;
use crate::schema::Schema;
use crate::value::Value;

/// A provider: its configuration, and the resources it has.
pub trait Provider: Send + Sync + 'static {
    /// The `provider` block.
    type Config: Model;
    /// What the resources work with; made of the configuration, shared by all requests.
    type Client: Send + Sync + 'static;

    /// Makes the client. `None` while the configuration is not known yet (it comes from a resource of the same apply):
    /// then nothing is read, and only an apply fails.
    ///
    /// # Errors
    /// What is wrong with the configuration.
    fn configure(config: Self::Config) -> Result<Option<Self::Client>, Diagnostics>;

    /// Everything it manages.
    fn resources() -> Resources<Self::Client>;
}

/// A kind of resource. Errors leave the resource as it was; what was half made must not outlive the error.
pub trait Resource: Model {
    /// `hetznat_peer`
    const TYPE_NAME: &'static str;
    /// What the provider's configuration became.
    type Client: Send + Sync + 'static;

    /// Checks what the attributes' types cannot: combinations. Anything may still be unknown.
    fn validate(config: &Self, diagnostics: &mut Diagnostics) {
        let _ = (config, diagnostics);
    }

    /// Completes a plan made from the declarations: sets what can be known, warns of what will follow.
    fn plan(planned: &mut Self, cx: &mut PlanContext<'_, Self>) {
        let _ = (planned, cx);
    }

    /// Makes it. The answer has no unknowns and keeps everything that was planned as known.
    fn create(planned: Self, cx: &mut Context<Self::Client>) -> impl Future<Output = Result<Self, Diagnostics>> + Send;

    /// What there really is; `None` if it is gone and should be made again.
    fn read(
        prior: Self,
        cx: &mut Context<Self::Client>,
    ) -> impl Future<Output = Result<Option<Self>, Diagnostics>> + Send;

    /// Changes it in place.
    fn update(
        prior: Self,
        planned: Self,
        cx: &mut Context<Self::Client>,
    ) -> impl Future<Output = Result<Self, Diagnostics>> + Send;

    /// Removes it. What is gone already counts as removed.
    fn delete(prior: Self, cx: &mut Context<Self::Client>) -> impl Future<Output = Result<(), Diagnostics>> + Send;

    /// Finds it by the id of an `import` block.
    fn import(id: String, cx: &mut Context<Self::Client>) -> impl Future<Output = Result<Self, Diagnostics>> + Send;
}

/// What a request brings along besides its values.
pub struct Context<C> {
    /// Made by [`Provider::configure`].
    pub client: Arc<C>,
    /// Kept by Terraform beside the state, never shown: whatever the resource left here the last time.
    pub private: Vec<u8>,
    /// Warnings go here; errors are returned.
    pub diagnostics: Diagnostics,
}

/// What a plan is made from.
pub struct PlanContext<'a, R> {
    /// As the author wrote it.
    pub config: &'a R,
    /// The state to start from; `None` if the resource is to be created.
    pub prior: Option<&'a R>,
    /// Whether this creation replaces an object that still exists while it is planned.
    pub replaces: bool,
    /// Warnings and errors go here.
    pub diagnostics: Diagnostics,
}

/// The resources of a provider, by type name.
pub struct Resources<C>(BTreeMap<&'static str, Arc<dyn AnyResource<C>>>);

impl<C: Send + Sync + 'static> Resources<C> {
    /// None yet.
    pub fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a kind of resource.
    #[must_use]
    pub fn with<R: Resource<Client = C>>(mut self) -> Self {
        self.0.insert(R::TYPE_NAME, Arc::new(Erased::<R>(PhantomData)));
        self
    }

    pub(crate) fn get(&self, type_name: &str) -> Result<Arc<dyn AnyResource<C>>, Diagnostics> {
        let unknown =
            || Diagnostic::error(format!("this version of the provider has no resource {type_name}; upgrade it"));
        self.0.get(type_name).cloned().ok_or_else(|| unknown().into())
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, &dyn AnyResource<C>)> {
        self.0.iter().map(|(name, resource)| (*name, resource.as_ref()))
    }
}

impl<C: Send + Sync + 'static> Default for Resources<C> {
    fn default() -> Self {
        Self::new()
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, Diagnostics>> + Send + 'a>>;

/// What a plan request asks.
pub(crate) struct PlanRequest<'a> {
    pub(crate) prior: &'a Value,
    pub(crate) config: &'a Value,
    pub(crate) private: &'a [u8],
}

/// A complete plan.
pub struct Planned {
    /// The object as far as it is known.
    pub value: Value,
    /// The attributes whose change makes a new resource.
    pub requires_replace: Vec<Path>,
    /// What the author is told.
    pub diagnostics: Diagnostics,
}

/// A [`Resource`] without its type: what the server dispatches to.
pub(crate) trait AnyResource<C>: Send + Sync {
    fn schema(&self) -> Schema;
    fn validate(&self, config: Value) -> Diagnostics;
    fn plan(&self, request: &PlanRequest<'_>) -> Result<Planned, Diagnostics>;
    fn read<'a>(&'a self, prior: Value, cx: &'a mut Context<C>) -> Answer<'a, Value>;
    /// Creates, updates or deletes, as the nulls say.
    fn apply<'a>(&'a self, prior: Value, planned: Value, cx: &'a mut Context<C>) -> Answer<'a, Value>;
    fn import<'a>(&'a self, id: String, cx: &'a mut Context<C>) -> Answer<'a, Value>;
}

struct Erased<R>(PhantomData<fn() -> R>);

impl<R: Resource> AnyResource<R::Client> for Erased<R> {
    fn schema(&self) -> Schema {
        R::schema()
    }

    fn validate(&self, config: Value) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        if let Some(config) = diagnostics.keep(decode::<R>(config)) {
            R::validate(&config, &mut diagnostics);
        }
        diagnostics
    }

    fn plan(&self, request: &PlanRequest<'_>) -> Result<Planned, Diagnostics> {
        plan_of::<R>(request)
    }

    fn read<'a>(&'a self, prior: Value, cx: &'a mut Context<R::Client>) -> Answer<'a, Value> {
        Box::pin(async move {
            let found = R::read(decode::<R>(prior)?, cx).await?;
            found.map_or(Ok(Value::Null), settled)
        })
    }

    fn apply<'a>(&'a self, prior: Value, planned: Value, cx: &'a mut Context<R::Client>) -> Answer<'a, Value> {
        Box::pin(async move {
            match (prior, planned) {
                (prior, Value::Null) => R::delete(decode::<R>(prior)?, cx).await.map(|()| Value::Null),
                (Value::Null, planned) => settled(R::create(decode::<R>(planned)?, cx).await?),
                (prior, planned) => settled(R::update(decode::<R>(prior)?, decode::<R>(planned)?, cx).await?),
            }
        })
    }

    fn import<'a>(&'a self, id: String, cx: &'a mut Context<R::Client>) -> Answer<'a, Value> {
        Box::pin(async move { settled(R::import(id, cx).await?) })
    }
}

pub(crate) fn plan_of<R: Resource>(request: &PlanRequest<'_>) -> Result<Planned, Diagnostics> {
    let schema = R::schema();
    let &PlanRequest { prior, config, private } = request;
    let mut planned = decode::<R>(plan::plan(&schema, prior, config))?;
    let config = decode::<R>(config.clone())?;
    let prior_model = if *prior == Value::Null { None } else { Some(decode::<R>(prior.clone())?) };
    let mut cx = PlanContext {
        config: &config,
        prior: prior_model.as_ref(),
        // Terraform plans a replacement twice: as an update, then as a creation with the first plan's private data.
        replaces: prior_model.is_none() && !private.is_empty(),
        diagnostics: Diagnostics::default(),
    };
    R::plan(&mut planned, &mut cx);
    let diagnostics = cx.diagnostics;
    let value = schema.complete(planned.encode());
    let requires_replace = plan::requires_replace(&schema, prior, &value);
    Ok(Planned { value, requires_replace, diagnostics })
}

fn decode<R: Model>(value: Value) -> Result<R, Diagnostics> {
    R::decode(value, &Path::default())
}

/// The new state, which must hold no unknowns: Terraform would blame the provider in words nobody understands.
fn settled<R: Model>(state: R) -> Result<Value, Diagnostics> {
    let value = R::schema().complete(state.encode());
    let unsettled = || Diagnostic::error(format!("{} left a value unknown; please report this bug", type_name::<R>()));
    if value.is_wholly_known() { Ok(value) } else { Err(unsettled().into()) }
}
