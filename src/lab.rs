//! What `graft-lab` needs of the product and cannot get otherwise: the parts of the daemon that make a round give way to
//! predictions and that train and judge a head, so that what is measured is what runs on a board, how the command line
//! loads a backbone, writes embeddings and speaks, the rules of the settings, and the paths of the interface.
//! Nothing is defined here, and nothing of the product uses it.

pub use crate::cli::{BackboneArgs, NpzWriter, Output, Silent, choose_instructions, exit_code, table, text};
pub use crate::config::{Rule, rules};
pub use crate::daemon::{
    ActiveHead, Assignment, Budget, Finished, Opponent, Pace, nice, round_threads, run_round,
};
pub use crate::web::{ROUTES, Route};
pub use graft_store::ClassCount;
