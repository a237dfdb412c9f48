/// A column of a [`table`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    title: &'static str,
    right: bool,
    optional: bool,
}

impl Column {
    /// A column of texts.
    #[must_use]
    pub fn left(title: &'static str) -> Self {
        Self { title, right: false, optional: false }
    }

    /// A column of numbers, which end below each other.
    #[must_use]
    pub fn right(title: &'static str) -> Self {
        Self { title, right: true, optional: false }
    }

    /// The same, but there only where a row has something in it.
    #[must_use]
    pub fn optional(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// Returns rows below their titles, every column as wide as its widest cell,
/// two spaces between them and none at the end of a line.
#[must_use]
pub fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let titles = columns.iter().map(|column| column.title.to_owned()).collect();
    let lines = || std::iter::once(&titles).chain(rows);
    let cell = |line: &Vec<String>, at: usize| {
        line.get(at).cloned().unwrap_or_default()
    };
    let width = |at: usize| {
        let cells = lines().map(|line| cell(line, at).chars().count());
        cells.max().unwrap_or_default()
    };
    let is_said = |at: usize| rows.iter().any(|row| !cell(row, at).is_empty());
    let columns: Vec<(usize, &Column, usize)> = columns
        .iter()
        .enumerate()
        .filter(|(at, column)| !column.optional || is_said(*at))
        .map(|(at, column)| (at, column, width(at)))
        .collect();
    let mut text = String::new();
    for line in lines() {
        let mut shown = Vec::new();
        for &(at, column, width) in &columns {
            let cell = cell(line, at);
            shown.push(if column.right {
                format!("{cell:>width$}")
            } else {
                format!("{cell:<width$}")
            });
        }
        text.push_str(shown.join("  ").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let columns =
            [Column::left("NAME"), Column::right("SIZE"), Column::left("X")];
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [
            row(["größer", "1", ""]),
            row(["b", "123456", "yes"]),
            vec!["short".to_owned()],
        ];
        assert_eq!(
            table(&columns, &rows),
            "NAME      SIZE  X\n\
             größer       1\n\
             b       123456  yes\n\
             short\n"
        );
        assert_eq!(table(&columns, &[]), "NAME  SIZE  X\n");
    }

    #[test]
    fn an_optional_column_is_there_where_a_row_has_something_in_it() {
        let columns = [
            Column::left("NAME"),
            Column::right("DAYS").optional(),
            Column::left("X"),
        ];
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let silent = [row(["a", "", "x"]), row(["b", "", "y"])];
        assert_eq!(table(&columns, &silent), "NAME  X\na     x\nb     y\n");
        let told = [row(["a", "", "x"]), row(["b", "5", "y"])];
        assert_eq!(
            table(&columns, &told),
            "NAME  DAYS  X\na           x\nb        5  y\n"
        );
        assert_eq!(table(&columns, &[]), "NAME  X\n");
    }
}
