//! The little of Markdown that cases are made of: headings and fenced blocks.

/// A piece of a case file, with the line, from 1, on which it begins.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    /// A heading of the second level.
    Heading {
        /// Its line.
        line: usize,
        /// Its text.
        text: &'t str,
    },
    /// A fenced block.
    Fence {
        /// The line of the opening fence.
        line: usize,
        /// What stands behind the opening fence.
        info: &'t str,
        /// The lines between the fences.
        body: String,
    },
}

/// The headings and fenced blocks of a text, in order; or the line of a fence that is never closed.
pub fn pieces(text: &str) -> Result<Vec<Piece<'_>>, usize> {
    let mut pieces = Vec::new();
    let mut open: Option<(usize, &str, usize, String)> = None;
    for (index, line) in text.lines().enumerate() {
        let ticks = line.bytes().take_while(|byte| *byte == b'`').count();
        if let Some((fence, info, begin, mut body)) = open.take() {
            if ticks >= fence && line.trim_end().len() == ticks {
                pieces.push(Piece::Fence { line: begin, info, body });
            } else {
                body.push_str(line);
                body.push('\n');
                open = Some((fence, info, begin, body));
            }
        } else if ticks >= 3 {
            open = Some((ticks, line.trim_start_matches('`').trim(), index + 1, String::new()));
        } else if let Some(heading) = line.strip_prefix("## ") {
            pieces.push(Piece::Heading { line: index + 1, text: heading.trim() });
        }
    }
    match open {
        Some((_, _, begin, _)) => Err(begin),
        None => Ok(pieces),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_and_fences() {
        let text = "# a\n\n## Sick: b\n\n````text x/y\n```\n## no\n````\nend\n";
        let expected = vec![
            Piece::Heading { line: 3, text: "Sick: b" },
            Piece::Fence { line: 5, info: "text x/y", body: "```\n## no\n".to_owned() },
        ];
        assert_eq!(pieces(text), Ok(expected));
        assert_eq!(pieces("```\nx\n"), Err(1));
    }
}
