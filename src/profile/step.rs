//! One step of a profile, rendered into edits.

use super::{
    Access, Action, Artefacts, Content, Edit, Part, ProfileErrorKind,
    render::Renderer, schema::StepFile, source::Source,
};

/// Renders `step` and adds what it asks for to `edits`.
pub(super) fn render(
    source: &Source,
    artefacts: &Artefacts,
    renderer: &Renderer,
    step: &StepFile,
    edits: &mut Vec<Edit>,
) -> Result<(), ProfileErrorKind> {
    if let Some(when) = &step.when
        && !renderer.holds(when).map_err(ProfileErrorKind::Template)?
    {
        return Ok(());
    }
    let Some(each) = &step.each else {
        return render_once(source, artefacts, renderer, step, edits);
    };
    for renderer in renderer.each(each).map_err(ProfileErrorKind::Template)? {
        render_once(source, artefacts, &renderer, step, edits)?;
    }
    Ok(())
}

fn render_once(
    source: &Source,
    artefacts: &Artefacts,
    renderer: &Renderer,
    step: &StepFile,
    edits: &mut Vec<Edit>,
) -> Result<(), ProfileErrorKind> {
    let step = Step { source, artefacts, renderer, step };
    let before = edits.len();
    let verbs = step.verbs(edits)?;
    if verbs != 1 {
        return Err(ProfileErrorKind::Step(format!(
            "a step has exactly one verb (write, append, block, \
             kernel_words, config_txt, mkdir, symlink, access, remove, \
             enable, disable, refuse); this one has {verbs}"
        )));
    }
    for edit in edits.iter().skip(before) {
        check_path(&edit.path)?;
    }
    Ok(())
}

struct Step<'s> {
    source: &'s Source,
    artefacts: &'s Artefacts,
    renderer: &'s Renderer,
    step: &'s StepFile,
}

impl Step<'_> {
    /// Adds the edits of every verb present; returns how many there were.
    fn verbs(&self, edits: &mut Vec<Edit>) -> Result<u8, ProfileErrorKind> {
        let step = self.step;
        let mut verbs = 0_u8;
        let why = self.text(step.why.as_deref().unwrap_or_default())?;
        let secret = match &step.secret {
            Some(expression) => self
                .renderer
                .holds(expression)
                .map_err(ProfileErrorKind::Template)?,
            None => false,
        };
        let mut add = |path: String, action: Action| {
            let part = match action {
                // These files are the firmware's own.
                Action::KernelWords { .. } | Action::ConfigTxt { .. } => {
                    Part::Boot
                }
                _ => step.on,
            };
            edits.push(Edit { part, path, action, why: why.clone(), secret });
        };
        let mut count = || verbs = verbs.saturating_add(1);
        if let Some(path) = &step.write {
            count();
            let access = self.access(0o644)?;
            if let Some(content) = self.whole_content()? {
                add(self.text(path)?, Action::Write { content, access });
            }
        }
        if let Some(path) = &step.append {
            count();
            let text = self.content()?;
            add(self.text(path)?, Action::Append { text });
        }
        if let Some(path) = &step.block {
            count();
            let text = self.content()?;
            add(self.text(path)?, Action::Block { text });
        }
        if let Some(words) = &step.kernel_words {
            count();
            let words = words
                .iter()
                .map(|word| checked("kernel_words", self.text(word)?, is_word))
                .collect::<Result<_, _>>()?;
            let path = self.text("/{{ facts.boot.cmdline_path }}")?;
            add(path, Action::KernelWords { words });
        }
        if let Some(keys) = &step.config_txt {
            count();
            let path = self.text("/{{ facts.boot.config_path }}")?;
            for (key, value) in keys {
                let key = checked("config_txt", key.clone(), is_key)?;
                let value = checked("config_txt", self.text(value)?, is_line)?;
                add(path.clone(), Action::ConfigTxt { key, value });
            }
        }
        if let Some(path) = &step.mkdir {
            count();
            let access = self.access(0o755)?;
            add(self.text(path)?, Action::Mkdir { access });
        }
        if let Some(path) = &step.symlink {
            count();
            let target = step.to.as_deref().ok_or_else(|| need("to"))?;
            let target = self.text(target)?;
            add(self.text(path)?, Action::Symlink { target });
        }
        if let Some(path) = &step.access {
            count();
            if step.mode.is_none() || step.owner.is_none() {
                return Err(need("mode` and `owner"));
            }
            let access = self.access(0)?;
            add(self.text(path)?, Action::Access { access });
        }
        if let Some(path) = &step.remove {
            count();
            add(self.text(path)?, Action::Remove);
        }
        if let Some(unit) = &step.enable {
            count();
            let unit = &self.text(unit)?;
            // A template unit's instance links to the template.
            let file = match (unit.find('@'), unit.rfind('.')) {
                (Some(at), Some(dot)) if at < dot => {
                    format!("{}@{}", &unit[..at], &unit[dot..])
                }
                _ => unit.clone(),
            };
            let folder = if let Some(folder) = &step.to {
                self.text(folder)?
            } else {
                "/lib/systemd/system".to_owned()
            };
            let target = format!("{folder}/{file}");
            add(self.wants(unit), Action::Symlink { target });
        }
        if let Some(unit) = &step.disable {
            count();
            add(self.wants(unit), Action::Remove);
        }
        if let Some(reason) = &step.refuse {
            return Err(ProfileErrorKind::Refused(self.text(reason)?));
        }
        Ok(verbs)
    }

    fn wants(&self, unit: &str) -> String {
        let target =
            self.step.wanted_by.as_deref().unwrap_or("multi-user.target");
        format!("/etc/systemd/system/{target}.wants/{unit}")
    }

    fn text(&self, template: &str) -> Result<String, ProfileErrorKind> {
        self.renderer
            .text("profile", template)
            .map_err(ProfileErrorKind::Template)
    }

    /// Returns the content of a file; none where it is one that the image
    /// goes without.
    fn whole_content(&self) -> Result<Option<Content>, ProfileErrorKind> {
        let Some(name) = &self.step.artefact else {
            return self.content().map(|text| Some(text.into()));
        };
        let StepFile { content, template, file, .. } = self.step;
        if [content, template, file].into_iter().any(Option::is_some) {
            return Err(need("artefact` alone, or `content"));
        }
        let name = self.text(name)?;
        self.artefacts.get(&name).ok_or_else(|| {
            ProfileErrorKind::Step(format!(
                "no artefact `{name}` is for this node (there are: {})",
                self.artefacts.names().collect::<Vec<_>>().join(", ")
            ))
        })
    }

    fn content(&self) -> Result<String, ProfileErrorKind> {
        match (&self.step.content, &self.step.template, &self.step.file) {
            (Some(content), None, None) => self.text(content),
            (None, Some(name), None) => {
                let text = self
                    .source
                    .profile(&format!("templates/{name}"))
                    .map_err(ProfileErrorKind::Io)?
                    .ok_or_else(|| missing("profiles/templates", name))?;
                self.renderer
                    .text(name, &text)
                    .map_err(ProfileErrorKind::Template)
            }
            (None, None, Some(name)) => Source::firstboot(name)
                .ok_or_else(|| missing("firstboot", name)),
            _ => Err(need("content`, `template`, `file` or `artefact")),
        }
    }

    fn access(&self, default: u16) -> Result<Access, ProfileErrorKind> {
        let mode = match &self.step.mode {
            None => default,
            Some(template) => {
                let text = self.text(template)?;
                u16::from_str_radix(&text, 8)
                    .ok()
                    .filter(|mode| *mode <= 0o7777)
                    .ok_or_else(|| {
                        ProfileErrorKind::Step(format!(
                            "`mode: {text}` is not octal, as \"0644\""
                        ))
                    })?
            }
        };
        let owner = self.text(self.step.owner.as_deref().unwrap_or("0:0"))?;
        let (uid, gid) = owner
            .split_once(':')
            .and_then(|(uid, gid)| Some((uid.parse().ok()?, gid.parse().ok()?)))
            .ok_or_else(|| {
                ProfileErrorKind::Step(format!(
                    "`owner: {owner}` is not uid:gid, as \"0:0\""
                ))
            })?;
        Ok(Access { mode, uid, gid })
    }
}

/// Paths come out of templates: what a value could have smuggled in is
/// refused here, once for all.
fn check_path(path: &str) -> Result<(), ProfileErrorKind> {
    let relative = path.strip_prefix('/').unwrap_or_default();
    let bad = relative.split('/').any(|name| {
        matches!(name, "" | "." | "..") || name.chars().any(char::is_control)
    });
    if bad {
        return Err(ProfileErrorKind::Step(format!(
            "`{path}` is not a plain absolute path"
        )));
    }
    Ok(())
}

/// Returns what becomes a part of one line, if it stays one there.
fn checked(
    verb: &str,
    text: String,
    holds: fn(&str) -> bool,
) -> Result<String, ProfileErrorKind> {
    if holds(&text) {
        return Ok(text);
    }
    Err(ProfileErrorKind::Step(format!(
        "`{verb}`: {text:?} would not stay one word or value of a line"
    )))
}

fn is_line(text: &str) -> bool {
    !text.contains(char::is_control)
}

/// Spaces only between quotes, as the kernel splits its command line.
fn is_word(text: &str) -> bool {
    let parts: Vec<&str> = text.split('"').collect();
    let outside = parts.iter().step_by(2);
    !text.is_empty()
        && is_line(text)
        && parts.len() % 2 == 1
        && !outside.into_iter().any(|part| part.contains(' '))
}

fn is_key(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_:-".contains(c))
}

fn need(key: &str) -> ProfileErrorKind {
    ProfileErrorKind::Step(format!("this verb needs `{key}`"))
}

fn missing(folder: &str, name: &str) -> ProfileErrorKind {
    ProfileErrorKind::Step(format!("there is no {folder}/{name}"))
}
