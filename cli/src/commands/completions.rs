//! `hookgate completions`: what makes a shell complete this command's names and options.

use std::{collections::BTreeSet, io::Write};

use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use hookgate_verify::providers;

use crate::{error::ExitCode, output::written};

/// Print a script that makes your shell complete this command.
#[derive(Debug, clap::Args)]
#[command(after_help = "Where it goes, and a new shell after it:
  bash        hookgate completions bash > ~/.local/share/bash-completion/completions/hookgate
  zsh         hookgate completions zsh > ~/.zfunc/_hookgate
              with fpath+=~/.zfunc before compinit in ~/.zshrc
  fish        hookgate completions fish > ~/.config/fish/completions/hookgate.fish
  elvish      hookgate completions elvish >> ~/.config/elvish/rc.elv
  powershell  hookgate completions powershell >> $PROFILE")]
pub struct Arguments {
    /// The shell.
    shell: Shell,
}

/// Prints the script for `command`, the whole command line.
pub fn run(arguments: &Arguments, command: clap::Command) -> anyhow::Result<ExitCode> {
    // Any name is taken here, and refused later with the platform's own: a shell is to offer them all.
    let events: BTreeSet<_> =
        providers::ALL.iter().flat_map(|provider| provider.events).map(|(name, _)| *name).collect();
    let mut command = command.mut_subcommand("send", |send| {
        send.mut_arg("event", |event| event.value_parser(PossibleValuesParser::new(events)))
    });
    // Not straight to standard output: that would panic where the reader is gone.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "hookgate", &mut script);
    written(std::io::stdout().write_all(&script))?;
    Ok(ExitCode::Yes)
}
