//! Labels and taints of Kubernetes nodes.

use super::{
    grammar::{is_label, is_qualified},
    problem::{Problem, quoted},
    shapes::Reader,
    tree::{Kind, Tree},
    variables::Variable,
};

impl Reader<'_> {
    /// Checks labels.
    pub(super) fn labels(&mut self, v: &Variable, tree: &Tree) {
        let good = |key: &str, value: &str| {
            is_qualified(key) && (value.is_empty() || is_label(value))
        };
        match &tree.kind {
            Kind::Map(pairs) => {
                for (key, value) in pairs {
                    let text = value.text().unwrap_or_default();
                    if !matches!(value.kind, Kind::Scalar { .. })
                        || !good(key.text().unwrap_or_default(), text)
                    {
                        self.wrong_content(
                            v,
                            value,
                            key.text().map(str::to_owned).as_ref(),
                        );
                    }
                }
            }
            Kind::Seq(items) => {
                for item in items {
                    let Some(text) = self.text(v, item) else { continue };
                    let (key, value) =
                        text.split_once('=').unwrap_or((&text, ""));
                    if !good(key, value) {
                        self.wrong_content(v, item, Some(&text));
                    }
                }
            }
            _ => self.wrong(v, tree),
        }
    }

    /// Checks taints.
    pub(super) fn taints(&mut self, v: &Variable, tree: &Tree) {
        let Kind::Seq(items) = &tree.kind else {
            self.wrong(v, tree);
            return;
        };
        for item in items {
            let Some(text) = self.text(v, item) else { continue };
            let good = text.rsplit_once(':').is_some_and(|(taint, effect)| {
                let (key, value) = taint.split_once('=').unwrap_or((taint, ""));
                matches!(
                    effect,
                    "NoSchedule" | "PreferNoSchedule" | "NoExecute"
                ) && is_qualified(key)
                    && (value.is_empty() || is_label(value))
            });
            if !good {
                self.problems.push(
                    Problem::at(
                        &item.at,
                        format!("{} is not a taint", quoted(&text)),
                    )
                    .hint(
                        "write key=value:Effect, the effect being \
                         NoSchedule, PreferNoSchedule or NoExecute",
                    ),
                );
            }
        }
    }
}
