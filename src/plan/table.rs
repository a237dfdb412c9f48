//! Tables of Unix: passwd(5), group(5) and their like.

/// Rows of fields between colons. Lines of another form pass through.
#[derive(Clone, Debug)]
pub(super) struct Table {
    pub(super) rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn parse(text: &str) -> Self {
        let row =
            |line: &str| line.split(':').map(str::to_owned).collect::<Vec<_>>();
        Self { rows: text.lines().map(row).collect() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    pub(super) fn find(&self, name: &str) -> Option<&Vec<String>> {
        self.find_by(0, name)
    }

    pub(super) fn find_by(
        &self,
        field: usize,
        value: &str,
    ) -> Option<&Vec<String>> {
        self.rows.iter().find(|row| row.get(field).is_some_and(|v| v == value))
    }

    pub(super) fn column(&self, field: usize) -> impl Iterator<Item = &str> {
        self.rows.iter().filter_map(move |row| row.get(field).map(|v| &**v))
    }

    pub(super) fn push(&mut self, fields: &[&str]) {
        self.rows.push(fields.iter().map(|&v| v.to_owned()).collect());
    }

    pub(super) fn set(&mut self, name: &str, field: usize, value: &str) {
        for row in &mut self.rows {
            if row.first().is_some_and(|first| first == name)
                && let Some(slot) = row.get_mut(field)
            {
                value.clone_into(slot);
            }
        }
    }

    /// Adds `member` to the last field of group `name`, once.
    pub(super) fn add_member(&mut self, name: &str, member: &str) {
        let Some(members) = self
            .rows
            .iter_mut()
            .find(|row| row.first().is_some_and(|first| first == name))
            .and_then(|row| row.get_mut(3))
        else {
            return;
        };
        if members.split(',').any(|m| m == member) {
            return;
        }
        if !members.is_empty() {
            members.push(',');
        }
        members.push_str(member);
    }

    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for row in &self.rows {
            text.push_str(&row.join(":"));
            text.push('\n');
        }
        text
    }
}
