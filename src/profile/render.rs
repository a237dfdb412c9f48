//! Templates: Jinja2 as Ansible users know it; an undefined variable is an
//! error.

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};

use super::quote;

/// Renders the templates of one profile for one node and image.
#[derive(Clone)]
pub(super) struct Renderer {
    env: Environment<'static>,
    context: Value,
}

impl Renderer {
    pub(super) fn new(context: Value) -> Result<Self, minijinja::Error> {
        let mut env = Environment::new();
        env.set_undefined_behavior(UndefinedBehavior::Strict);
        // As Ansible sets Jinja2 up, but for the last newline, which the
        // files to be written need.
        env.set_syntax(
            env.syntax()
                .to_builder()
                .trim_blocks(true)
                .keep_trailing_newline(true)
                .build()?,
        );
        // Only HTML-like names would be escaped; there is no HTML here.
        env.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
        env.add_filter("hex", quote::hex);
        env.add_filter("keyfile", quote::keyfile);
        env.add_filter("octets", quote::octets);
        env.add_filter("psk", quote::psk);
        env.add_filter("to_yaml", quote::to_yaml);
        env.add_filter("yaml", quote::yaml);
        Ok(Self { env, context })
    }

    /// Returns one renderer for each item of the list that `expression`
    /// gives, with the item as `item`.
    pub(super) fn each(
        &self,
        expression: &str,
    ) -> Result<Vec<Self>, minijinja::Error> {
        let list =
            self.env.compile_expression(expression)?.eval(&self.context)?;
        let with = |item: Value| Self {
            env: self.env.clone(),
            context: context! { item, ..self.context.clone() },
        };
        Ok(list.try_iter()?.map(with).collect())
    }

    pub(super) fn text(
        &self,
        name: &str,
        source: &str,
    ) -> Result<String, minijinja::Error> {
        self.env.render_named_str(name, source, &self.context)
    }

    pub(super) fn holds(
        &self,
        expression: &str,
    ) -> Result<bool, minijinja::Error> {
        let value =
            self.env.compile_expression(expression)?.eval(&self.context)?;
        // Alone, it would be taken for `no`: `secret: yes` gave a secret away.
        if value.is_undefined() {
            return Err(minijinja::Error::new(
                ErrorKind::UndefinedError,
                format!("`{expression}`"),
            ));
        }
        Ok(value.is_true())
    }
}
