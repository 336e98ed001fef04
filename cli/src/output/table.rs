//! Tables as plain aligned columns. When they are wider than the terminal, the widest column gives way first.

use console::{measure_text_width, truncate_str};

/// Between two columns.
const GAP: &str = "  ";
/// No column is cut below this, however narrow the terminal.
const NARROWEST: usize = 6;

/// Which edge the cells of a column share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Align {
    Left,
    Right,
}

/// A column's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    align: Align,
    /// Left out where no row has anything in it.
    optional: bool,
}

impl Column {
    /// The column, where any row has something in it.
    pub(crate) const fn if_any(self) -> Self {
        Self {
            optional: true,
            ..self
        }
    }
}

/// A column of words.
pub(crate) const fn left(title: &'static str) -> Column {
    Column {
        title,
        align: Align::Left,
        optional: false,
    }
}

/// A column of quantities.
pub(crate) const fn right(title: &'static str) -> Column {
    Column {
        title,
        align: Align::Right,
        optional: false,
    }
}

/// Lays a table out in at most `width` terminal columns. Control characters in cells are escaped.
pub(crate) fn render(columns: &[Column], rows: &[Vec<String>], width: usize) -> String {
    let is_shown = |n: usize, column: &Column| {
        let mut cells = rows.iter().filter_map(|row| row.get(n));
        !column.optional || cells.any(|cell| !cell.is_empty())
    };
    let shown = columns
        .iter()
        .enumerate()
        .filter(|(n, column)| is_shown(*n, column));
    let (places, columns): (Vec<usize>, Vec<Column>) = shown.map(|(n, column)| (n, *column)).unzip();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            places
                .iter()
                .map(|n| row.get(*n).map_or_else(String::new, |cell| printable(cell)))
                .collect()
        })
        .collect();
    let widths = fit(natural_widths(&columns, &rows), width);
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let mut text = String::new();
    for cells in std::iter::once(&titles).chain(&rows) {
        let line: Vec<String> = columns
            .iter()
            .zip(cells)
            .zip(&widths)
            .map(|((column, cell), width)| pad(cell, *width, column.align))
            .collect();
        text.push_str(line.join(GAP).trim_end());
        text.push('\n');
    }
    text
}

fn natural_widths(columns: &[Column], rows: &[Vec<String>]) -> Vec<usize> {
    let cell_width = |row: &Vec<String>, n: usize| row.get(n).map_or(0, |cell| measure_text_width(cell));
    columns
        .iter()
        .enumerate()
        .map(|(n, column)| {
            rows.iter()
                .map(|row| cell_width(row, n))
                .fold(column.title.len(), usize::max)
        })
        .collect()
}

/// Takes from the widest columns until all fit.
fn fit(mut widths: Vec<usize>, available: usize) -> Vec<usize> {
    let gaps = GAP.len() * widths.len().saturating_sub(1);
    while widths.iter().sum::<usize>() + gaps > available {
        match widths.iter_mut().max() {
            Some(widest) if *widest > NARROWEST => *widest -= 1,
            Some(_) | None => break,
        }
    }
    widths
}

fn pad(cell: &str, width: usize, align: Align) -> String {
    let cell = truncate_str(cell, width, "…");
    let fill = " ".repeat(width.saturating_sub(measure_text_width(&cell)));
    match align {
        Align::Left => format!("{cell}{fill}"),
        Align::Right => format!("{fill}{cell}"),
    }
}

/// A terminal obeys what it prints, and a task's message is anyone's text.
pub(crate) fn printable(cell: &str) -> String {
    let escape = |c: char| match c {
        '\n' | '\t' => " ".to_owned(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    cell.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    const COLUMNS: [Column; 4] = [
        left("TASK"),
        right("CPUS"),
        left("NODE").if_any(),
        left("MESSAGE"),
    ];

    fn check(rows: &[[&str; 4]], width: usize, expected: Expect) {
        let rows: Vec<Vec<String>> = rows.iter().map(|row| row.map(str::to_owned).to_vec()).collect();
        expected.assert_eq(&render(&COLUMNS, &rows, width));
    }

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        check(
            &[["count.0", "0.25", "", ""], ["sum", "1", "", "all is well"]],
            usize::MAX,
            expect![[r#"
                TASK     CPUS  MESSAGE
                count.0  0.25
                sum         1  all is well
            "#]],
        );
    }

    #[test]
    fn an_optional_column_is_there_where_it_says_anything() {
        check(
            &[["count.0", "0.25", "", ""], ["sum", "1", "n7", ""]],
            usize::MAX,
            expect![[r#"
                TASK     CPUS  NODE  MESSAGE
                count.0  0.25
                sum         1  n7
            "#]],
        );
    }

    #[test]
    fn the_widest_column_gives_way_on_a_narrow_terminal() {
        check(
            &[["count.0", "0.25", "", "exited with code 3 after a while"]],
            30,
            expect![[r#"
                TASK     CPUS  MESSAGE
                count.0  0.25  exited with co…
            "#]],
        );
    }

    #[test]
    fn a_message_cannot_command_the_terminal() {
        check(
            &[["t", "1", "", "\u{1b}[2Jgone\nline"]],
            usize::MAX,
            expect![[r#"
            TASK  CPUS  MESSAGE
            t        1  \u{1b}[2Jgone line
        "#]],
        );
    }
}
