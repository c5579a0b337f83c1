//! `hookgate completions`: scripts that let a shell complete names and options.

use std::{collections::BTreeSet, io::Write};

use clap::builder::PossibleValuesParser;
use clap_complete::Shell;
use hookgate_verify::providers;

use crate::{error::ExitCode, output::written};

/// Print a completion script for your shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "Where to put it (then open a new shell):
  bash        hookgate completions bash > ~/.local/share/bash-completion/completions/hookgate
  zsh         hookgate completions zsh > ~/.zfunc/_hookgate
              with fpath+=~/.zfunc before compinit in ~/.zshrc
  fish        hookgate completions fish > ~/.config/fish/completions/hookgate.fish
  elvish      hookgate completions elvish >> ~/.config/elvish/rc.elv
  powershell  hookgate completions powershell >> $PROFILE")]
pub struct Arguments {
    /// Complete in this shell
    shell: Shell,
}

/// Prints the script for `command`, the whole command line.
pub fn run(arguments: &Arguments, command: clap::Command) -> anyhow::Result<ExitCode> {
    // `send` takes any name, so that its error can list the platform's own. A shell offers the names of all platforms.
    let events: BTreeSet<_> =
        providers::ALL.iter().flat_map(|provider| provider.events).map(|(name, _)| *name).collect();
    let mut command = command.mut_subcommand("send", |send| {
        send.mut_arg("event", |event| event.value_parser(PossibleValuesParser::new(events)))
    });
    // Not straight to standard output: that would panic if the reader has gone.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "hookgate", &mut script);
    written(std::io::stdout().write_all(&script))?;
    Ok(ExitCode::Yes)
}
