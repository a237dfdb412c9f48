//! Jinja expressions, as Ansible evaluates them: variables may refer to
//! variables, to the node's groups and to facts.

use std::{
    collections::BTreeMap,
    fmt, io,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use minijinja::{
    Environment, Error, ErrorKind, UndefinedBehavior,
    syntax::SyntaxConfig,
    value::{Enumerator, Object, Value as Jinja},
};
use minijinja_contrib::pycompat::unknown_method_callback;

use super::{value::Value, vars::Var};

/// Deepest chain of variables that refer to variables.
const MAX_DEPTH: usize = 20;
/// Most variables rendered for one text.
const MAX_RENDERS: usize = 1000;
/// Most instructions of one template.
const FUEL: u64 = 100_000;
/// Longest text that a template may give, in bytes.
const MAX_OUTPUT: usize = 1 << 20;

/// The whole inventory, as expressions see it.
#[derive(Debug, Default)]
pub(super) struct World {
    /// The nodes in the order of the file.
    pub(super) nodes: Vec<WorldNode>,
    /// The position of every node.
    pub(super) index: BTreeMap<String, usize>,
    /// The nodes of every group.
    pub(super) groups: BTreeMap<String, Vec<String>>,
}

impl World {
    /// Says whether a variable holds for a node and is not null.
    pub(super) fn has_value(&self, node: &str, name: &str) -> bool {
        let node = self.index.get(node).and_then(|i| self.nodes.get(*i));
        let var = node.and_then(|node| node.vars.get(name));
        var.is_some_and(|var| *var.value() != Value::Null)
    }
}

/// A node, as expressions see it.
#[derive(Debug)]
pub(super) struct WorldNode {
    /// `inventory_hostname`.
    pub(super) name: String,
    /// `group_names`, sorted.
    pub(super) groups: Vec<String>,
    /// The variables that hold.
    pub(super) vars: BTreeMap<String, Var>,
}

/// Why a text cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenderError {
    message: String,
    undefined: Option<String>,
}

impl RenderError {
    /// Names the undefined expression, if that is the reason.
    pub fn undefined(&self) -> Option<&str> {
        self.undefined.as_deref()
    }

    /// Says whether what is undefined is a fact of the node's image.
    pub fn needs_fact(&self) -> bool {
        self.undefined.as_ref().is_some_and(|name| {
            name.trim_start_matches(['(', ' ']).starts_with("ansible_")
        })
    }
}

impl fmt::Display for RenderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.undefined {
            Some(name) => write!(f, "`{name}` is undefined"),
            None => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for RenderError {}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_unknown_method_callback(unknown_method_callback);
    // Ansible's settings for templates.
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .keep_trailing_newline(true)
        .build();
    environment.set_syntax(syntax.unwrap_or_default());
    environment.set_fuel(Some(FUEL));
    environment
});

/// The names that an expression of a node can use.
#[derive(Debug)]
struct Scope {
    world: Arc<World>,
    node: usize,
    facts: Jinja,
    depth: usize,
    /// Variables rendered so far, for all scopes of a text.
    renders: Arc<AtomicUsize>,
}

/// Renders a text for a node. `facts` is a map of `ansible_...` names, or
/// undefined.
pub(super) fn text(
    world: &Arc<World>,
    node: usize,
    facts: &Jinja,
    text: &str,
) -> Result<String, RenderError> {
    let scope = Scope::new(world, node, facts);
    scope.text(text).map_err(|error| explain(&error))
}

/// Renders a value for a node: a lone expression keeps its type.
pub(super) fn value(
    world: &Arc<World>,
    node: usize,
    facts: &Jinja,
    value: &Value,
) -> Result<Jinja, RenderError> {
    let scope = Scope::new(world, node, facts);
    scope.value(value).map_err(|error| explain(&error))
}

/// Begins the detail of an error that names what is undefined.
const UNDEFINED: &str = "undefined: ";

fn explain(error: &Error) -> RenderError {
    let detail = error.detail().unwrap_or_default();
    let undefined = match detail.strip_prefix(UNDEFINED) {
        Some(name) => Some(name.to_owned()),
        None if error.kind() == ErrorKind::UndefinedError => error
            .range()
            .and_then(|range| error.template_source()?.get(range))
            .map(|name| name.trim().to_owned()),
        None => None,
    };
    let message = match detail {
        "" => error.kind().to_string(),
        detail => format!("{}: {detail}", error.kind()),
    };
    RenderError { message, undefined }
}

/// Turns the failure of a variable into a value that fails where it is used,
/// with the first reason.
fn invalid(error: &Error) -> Jinja {
    let RenderError { message, undefined } = explain(error);
    let error = match undefined {
        Some(name) => {
            Error::new(ErrorKind::UndefinedError, format!("{UNDEFINED}{name}"))
        }
        None if error.detail().is_some() => Error::new(
            error.kind(),
            error.detail().unwrap_or_default().to_owned(),
        ),
        None => Error::new(ErrorKind::InvalidOperation, message),
    };
    Jinja::from(error)
}

impl Scope {
    fn new(world: &Arc<World>, node: usize, facts: &Jinja) -> Self {
        Self {
            world: Arc::clone(world),
            node,
            facts: facts.clone(),
            depth: 0,
            renders: Arc::default(),
        }
    }

    /// The same node one variable deeper.
    fn deeper(&self) -> Result<Self, Error> {
        let renders = self.renders.fetch_add(1, Ordering::Relaxed);
        if self.depth >= MAX_DEPTH || renders >= MAX_RENDERS {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                "variables refer to each other without end",
            ));
        }
        Ok(Self {
            world: Arc::clone(&self.world),
            node: self.node,
            facts: self.facts.clone(),
            depth: self.depth.saturating_add(1),
            renders: Arc::clone(&self.renders),
        })
    }

    fn text(&self, text: &str) -> Result<String, Error> {
        let template = ENVIRONMENT.template_from_str(text)?;
        let mut out = Limited(Vec::new());
        let context = Jinja::from_object(self.deeper()?);
        template.render_captured_to(context, &mut out)?;
        Ok(String::from_utf8_lossy(&out.0).into_owned())
    }

    fn value(&self, value: &Value) -> Result<Jinja, Error> {
        Ok(match value {
            Value::String(text) => self.string(text)?,
            Value::List(items) => items
                .iter()
                .map(|item| self.value(item))
                .collect::<Result<Vec<Jinja>, Error>>()?
                .into(),
            Value::Map(map) => map
                .iter()
                .map(|(key, item)| Ok((key.clone(), self.value(item)?)))
                .collect::<Result<BTreeMap<String, Jinja>, Error>>()?
                .into(),
            Value::Vault => {
                return Err(Error::new(
                    ErrorKind::InvalidOperation,
                    "the value is encrypted by ansible-vault",
                ));
            }
            plain => jinja(plain),
        })
    }

    fn string(&self, text: &str) -> Result<Jinja, Error> {
        if !text.contains("{{") && !text.contains("{%") {
            return Ok(Jinja::from(text));
        }
        let Some(expression) = lone_expression(text) else {
            return self.text(text).map(Jinja::from);
        };
        let context = Jinja::from_object(self.deeper()?);
        let value =
            ENVIRONMENT.compile_expression(expression)?.eval(context)?;
        if value.is_undefined() {
            return Err(Error::new(
                ErrorKind::UndefinedError,
                format!("{UNDEFINED}{expression}"),
            ));
        }
        Ok(value)
    }

    fn lookup(&self, name: &str) -> Option<Jinja> {
        let node = self.world.nodes.get(self.node)?;
        match name {
            "inventory_hostname" => return Some(Jinja::from(&*node.name)),
            "inventory_hostname_short" => {
                let short = node.name.split('.').next()?;
                return Some(Jinja::from(short));
            }
            "group_names" => {
                return Some(Jinja::from(node.groups.clone()));
            }
            "groups" => {
                return Some(Jinja::from(self.world.groups.clone()));
            }
            "hostvars" => {
                return Some(match self.deeper() {
                    Ok(scope) => Jinja::from_object(HostVars(scope)),
                    Err(error) => Jinja::from(error),
                });
            }
            "ansible_facts" if !self.facts.is_undefined() => {
                return Some(Jinja::from_object(Facts(self.facts.clone())));
            }
            _ => {}
        }
        // Ansible lets facts win over the inventory.
        if let Ok(fact) = self.facts.get_attr(name)
            && !fact.is_undefined()
        {
            return Some(fact);
        }
        let var = node.vars.get(name)?;
        if !var.definition.tree.is_template() {
            return Some(jinja(var.value()));
        }
        Some(self.value(var.value()).unwrap_or_else(|error| invalid(&error)))
    }
}

/// Gives a value as it is, its templates not rendered.
pub(super) fn jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(value) => Jinja::from(*value),
        Value::Int(value) => Jinja::from(*value),
        Value::Float(value) => Jinja::from(*value),
        Value::String(value) => Jinja::from(&**value),
        Value::List(items) => {
            items.iter().map(jinja).collect::<Vec<_>>().into()
        }
        Value::Map(map) => map
            .iter()
            .map(|(key, value)| (key.clone(), jinja(value)))
            .collect::<BTreeMap<_, _>>()
            .into(),
        Value::Vault => Jinja::from(Error::new(
            ErrorKind::InvalidOperation,
            "the value is encrypted by ansible-vault",
        )),
    }
}

/// Gives `x` of `{{ x }}` if there is nothing else: such a value keeps its
/// type.
fn lone_expression(text: &str) -> Option<&str> {
    let inner = text.trim().strip_prefix("{{")?.strip_suffix("}}")?;
    if inner.contains("{{") || inner.contains("}}") || inner.contains("{%") {
        return None;
    }
    Some(inner.trim_start_matches('-').trim_end_matches('-').trim())
}

impl Object for Scope {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        self.lookup(key.as_str()?)
    }
}

/// `hostvars`: the variables of every node.
#[derive(Debug)]
struct HostVars(Scope);

impl Object for HostVars {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let node = *self.0.world.index.get(key.as_str()?)?;
        let own = node == self.0.node;
        Some(match self.0.deeper() {
            // What another node's image is, is not known here.
            Ok(scope) => Jinja::from_object(Scope {
                node,
                facts: if own { scope.facts } else { Jinja::UNDEFINED },
                ..scope
            }),
            Err(error) => Jinja::from(error),
        })
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self.0.world.nodes.iter();
        Enumerator::Values(names.map(|n| Jinja::from(&*n.name)).collect())
    }
}

/// `ansible_facts`: the facts without their prefix.
#[derive(Debug)]
struct Facts(Jinja);

impl Object for Facts {
    fn get_value(self: &Arc<Self>, key: &Jinja) -> Option<Jinja> {
        let name = format!("ansible_{}", key.as_str()?);
        self.0.get_attr(&name).ok().filter(|fact| !fact.is_undefined())
    }
}

/// Text that cannot grow without end.
struct Limited(Vec<u8>);

impl io::Write for Limited {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len().saturating_add(bytes.len()) > MAX_OUTPUT {
            return Err(io::Error::other("the text is longer than 1 MiB"));
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
