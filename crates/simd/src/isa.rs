//! Which instructions the kernels use: asked once of the CPU, or chosen for the whole process.

use std::fmt;
use std::sync::OnceLock;

#[cfg(target_arch = "aarch64")]
use super::arm;
use super::instructions::Instructions;
use super::lanes::Kernel;
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::x86;

/// Instructions that this CPU has: there is no other way to get one than to ask the CPU.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Isa(Instructions);

/// What all kernels of the process use.
static CHOSEN: OnceLock<Isa> = OnceLock::new();

impl Isa {
    /// Those of any CPU.
    pub const PORTABLE: Self = Self(Instructions::Portable);

    /// All that this CPU has, the fastest first; the portable ones come last.
    pub fn available() -> Vec<Self> {
        Instructions::ALL.into_iter().filter(|kind| kind.are_there()).map(Self).collect()
    }

    /// What kernels use in this process: the fastest that the CPU has, or those of [`Isa::choose`]. Always the same,
    /// so that equal inputs give equal bits for as long as the process lives.
    pub fn detect() -> Self {
        *CHOSEN.get_or_init(|| {
            let best = Instructions::ALL.into_iter().find(|kind| kind.are_there());
            best.map_or(Self::PORTABLE, Self)
        })
    }

    /// Has the whole process use these instructions, by their [name](Isa::name). For the `main` of a program, before
    /// its first kernel: to compare kinds of instructions, or to keep a machine from those that it is slow with.
    ///
    /// # Errors
    /// When there are none of that name, this CPU does not have them, or others are in use already.
    pub fn choose(name: &str) -> Result<Self, IsaError> {
        let Some(kind) = Instructions::ALL.into_iter().find(|kind| kind.name() == name) else {
            return Err(IsaError::Unknown { name: name.to_owned() });
        };
        if !kind.are_there() {
            return Err(IsaError::Missing { kind });
        }
        let used = *CHOSEN.get_or_init(|| Self(kind));
        if used == Self(kind) { Ok(used) } else { Err(IsaError::InUse { kind, used: used.0 }) }
    }

    /// Which they are.
    pub const fn instructions(self) -> Instructions {
        self.0
    }

    /// The word for it, such as `avx2`.
    pub const fn name(self) -> &'static str {
        self.0.name()
    }

    /// Runs a kernel with them.
    ///
    /// # Safety
    /// What the kernel asks of its caller, but for the instructions.
    #[inline]
    pub unsafe fn run<K: Kernel>(self, kernel: K) -> K::Output {
        // SAFETY: the caller's promise; an `Isa` is only made where the CPU has the instructions.
        unsafe {
            match self.0 {
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx512 => x86::run_avx512(kernel),
                #[cfg(target_arch = "x86_64")]
                Instructions::Avx2 => x86::run_avx2(kernel),
                #[cfg(target_arch = "aarch64")]
                Instructions::Neon => arm::run(kernel),
                _ => portable::run(kernel),
            }
        }
    }
}

impl fmt::Debug for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why [`Isa::choose`] could not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IsaError {
    /// There are no instructions of this name.
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// This CPU does not have them.
    Missing {
        /// What was asked for.
        kind: Instructions,
    },
    /// A kernel has already run with others.
    InUse {
        /// What was asked for.
        kind: Instructions,
        /// What is in use.
        used: Instructions,
    },
}

impl fmt::Display for IsaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = || Isa::available().iter().map(|isa| isa.name()).collect::<Vec<_>>().join(", ");
        match self {
            Self::Unknown { name } => {
                write!(f, "there are no instructions {name:?}; choose one of those of this CPU: {}", here())
            }
            Self::Missing { kind } => {
                write!(f, "this CPU has no {}; choose one of those that it has: {}", kind.name(), here())
            }
            Self::InUse { kind, used } => write!(
                f,
                "{} came too late, {} are in use already; choose before anything is computed",
                kind.name(),
                used.name()
            ),
        }
    }
}

impl std::error::Error for IsaError {}
