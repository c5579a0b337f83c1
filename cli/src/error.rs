//! Exit codes, and the one place that prints an error.

use std::{error::Error, fmt, process};

/// How a command ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// 0: as expected.
    Yes,
    /// 1: not as expected, or nothing found.
    No,
    /// 2: failed. An error says why.
    NotDone,
    /// 141, as after SIGPIPE: the reader of standard output has gone.
    ReaderGone,
}

impl From<bool> for ExitCode {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl From<ExitCode> for process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(match code {
            ExitCode::Yes => 0,
            ExitCode::No => 1,
            ExitCode::NotDone => 2,
            ExitCode::ReaderGone => 141,
        })
    }
}

/// The reader of standard output has gone (`hookgate tail | head`). Ends the command without an error message.
#[derive(Debug)]
pub(crate) struct ReaderGone;

impl fmt::Display for ReaderGone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reader of standard output has gone")
    }
}

impl Error for ReaderGone {}

/// The exit code of a command's result. Prints an error and its causes on one line.
pub fn report(ended: anyhow::Result<ExitCode>) -> ExitCode {
    match ended {
        Ok(code) => code,
        Err(error) if error.is::<ReaderGone>() => ExitCode::ReaderGone,
        Err(error) => {
            eprintln!("hookgate: {}", with_causes(error.as_ref()));
            ExitCode::NotDone
        }
    }
}

/// An error and its causes on one line, without a cause that the text already names.
pub(crate) fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::{Context, anyhow};

    use super::*;

    #[test]
    fn an_error_names_each_cause_once() {
        let error = anyhow!("connection refused").context("no answer: connection refused").context("cannot list");
        assert_eq!(with_causes(error.as_ref()), "cannot list: no answer: connection refused");
    }

    #[test]
    fn a_reader_that_has_gone_is_not_an_error() {
        let gone = Err::<ExitCode, _>(ReaderGone).context("while listing");
        assert_eq!(report(gone), ExitCode::ReaderGone);
        assert_eq!(report(Err(anyhow!("x"))), ExitCode::NotDone);
    }
}
