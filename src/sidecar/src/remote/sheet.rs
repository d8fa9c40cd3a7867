//! Rows as columns that a person reads, or as CSV.

use std::io::{self, Write};

/// A heading and rows under it.
pub(super) struct Sheet {
    pub(super) heading: Vec<&'static str>,
    pub(super) rows: Vec<Vec<String>>,
}

/// What a cell says in red, where there is colour.
const ALARMING: &str = "lost";

impl Sheet {
    /// Columns as wide as what is in them; numbers to the right.
    pub(super) fn write_table(&self, out: &mut dyn Write, colour: bool) -> io::Result<()> {
        let plain = |row: &Vec<String>| row.iter().map(|text| printable(text)).collect::<Vec<_>>();
        let rows: Vec<Vec<String>> = self.rows.iter().map(plain).collect();
        let width = |column: usize| {
            let cells = rows.iter().map(|row| row[column].chars().count());
            cells.chain([self.heading[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.heading.len()).map(width).collect();
        let right: Vec<bool> = (0..self.heading.len())
            .map(|column| {
                let number =
                    |text: &String| text.bytes().all(|b| b.is_ascii_digit() || b",-".contains(&b));
                !rows.is_empty() && rows.iter().all(|row| number(&row[column]))
            })
            .collect();
        let heading = self.heading.iter().map(|name| name.to_uppercase()).collect::<Vec<_>>();
        for row in [heading].iter().chain(&rows) {
            let mut line = String::new();
            for (column, text) in row.iter().enumerate() {
                let space = " ".repeat(widths[column] - text.chars().count());
                let text = if colour && text == ALARMING {
                    format!("\x1b[31m{text}\x1b[0m")
                } else {
                    text.clone()
                };
                let (before, after) = if right[column] { (&*space, "") } else { ("", &*space) };
                line.push_str(&format!("{before}{text}{after}  "));
            }
            writeln!(out, "{}", line.trim_end())?;
        }
        Ok(())
    }

    pub(super) fn write_csv(&self, out: &mut dyn Write) -> Result<(), csv::Error> {
        let mut csv = csv::Writer::from_writer(out);
        csv.write_record(&self.heading)?;
        for row in &self.rows {
            csv.write_record(row)?;
        }
        csv.flush()?;
        Ok(())
    }
}

/// A name without what would steer a terminal.
fn printable(text: &str) -> String {
    if text.is_empty() {
        return "-".to_owned();
    }
    text.chars()
        .flat_map(|letter| {
            let steers = letter.is_control()
                || ('\u{200e}'..='\u{202e}').contains(&letter)
                || ('\u{2066}'..='\u{2069}').contains(&letter);
            if steers { letter.escape_unicode().collect::<Vec<_>>() } else { vec![letter] }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let rows = [["orders", "7", "lost"], ["a,\u{1b}[2J\"b", "1,000", ""]];
        let rows = rows.map(|row| row.map(str::to_owned).to_vec()).to_vec();
        Sheet { heading: vec!["stream", "count", "state"], rows }
    }

    #[test]
    fn a_table_has_columns_and_nothing_that_steers_a_terminal() {
        let mut out = Vec::new();
        sheet().write_table(&mut out, false).unwrap();
        let expected = "STREAM         COUNT  STATE\n\
                        orders             7  lost\n\
                        a,\\u{1b}[2J\"b  1,000  -\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        let mut out = Vec::new();
        sheet().write_table(&mut out, true).unwrap();
        assert!(String::from_utf8(out).unwrap().contains("7  \x1b[31mlost\x1b[0m"));
    }

    #[test]
    fn csv_keeps_every_name_as_it_is() {
        let mut out = Vec::new();
        sheet().write_csv(&mut out).unwrap();
        let expected = "stream,count,state\norders,7,lost\n\"a,\u{1b}[2J\"\"b\",\"1,000\",\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
