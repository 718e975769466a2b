//! What host functions fail with: into a box without losing its type, out of
//! compiled code, and back by that type.
//!
//! `anyhow::Error` is no error in the sense of the standard library. In a plain
//! conversion into one its type is lost, and so is what it was made from; here
//! it stays whole.

use crate::{Backtrace, BoxError, Error, Exception, Trap};
use std::error::Error as StdError;
use wasmprof_image::TrapCode;

/// An error of a host function in a box, from which it can be had back.
#[cold]
pub(crate) fn boxed<E: Into<BoxError> + 'static>(error: E) -> BoxError {
    #[cfg(feature = "anyhow")]
    let error = {
        // `E` may turn out to be that type. An option lets it be taken out of
        // the reference that `Any` gives.
        let mut error = Some(error);
        let any: &mut dyn std::any::Any = &mut error;
        if let Some(found) = any.downcast_mut::<Option<anyhow::Error>>().and_then(Option::take) {
            return with_anyhow::boxed(found);
        }
        error.expect("it was not taken")
    };
    error.into()
}

/// The error of ours that this one becomes; `backtrace` is for one without.
/// Traps, exceptions and errors of ours stay what they are.
pub(crate) fn error_of(error: BoxError, backtrace: impl FnOnce() -> Backtrace) -> Error {
    let mut error = match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(error) => match error.downcast::<Trap>() {
            Ok(trap) => Error::Trap(*trap),
            Err(error) => match error.downcast::<TrapCode>() {
                Ok(code) => Error::Trap(Trap::new(*code)),
                Err(error) => match error.downcast::<Exception>() {
                    Ok(exception) => Error::Exception(exception),
                    Err(error) => Error::Host { error, backtrace: Backtrace::default() },
                },
            },
        },
    };
    if let Error::Trap(Trap { backtrace: place, .. }) | Error::Host { backtrace: place, .. } =
        &mut error
        && place.frames().is_empty()
    {
        *place = backtrace();
    }
    error
}

/// The error of type `E` that `error` is, was made from, or has among its
/// sources.
pub(crate) fn find<'a, E: StdError + Send + Sync + 'static>(
    error: &'a (dyn StdError + 'static),
) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(ours) = error.downcast_ref::<Error>() {
            return ours.downcast_ref::<E>();
        }
        #[cfg(feature = "anyhow")]
        if let Some(found) = with_anyhow::find::<E>(error) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The error of type `E` that was put into the box.
pub(crate) fn take<E: StdError + Send + Sync + 'static>(error: BoxError) -> Result<E, BoxError> {
    let error = match error.downcast::<E>() {
        Ok(found) => return Ok(*found),
        Err(other) => other,
    };
    #[cfg(feature = "anyhow")]
    let error = match with_anyhow::take::<E>(error) {
        Ok(found) => return Ok(found),
        Err(other) => other,
    };
    Err(error)
}

/// Errors of the crate `anyhow`.
#[cfg(feature = "anyhow")]
mod with_anyhow {
    use crate::{BoxError, Error, Exception, Trap};
    use std::error::Error as StdError;
    use std::fmt;
    use wasmprof_image::TrapCode;

    /// The error as it came, with its contexts and its backtrace.
    struct Whole(anyhow::Error);

    impl fmt::Debug for Whole {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    impl fmt::Display for Whole {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.fmt(f)
        }
    }

    impl StdError for Whole {
        fn source(&self) -> Option<&(dyn StdError + 'static)> {
            self.0.source()
        }
    }

    pub(super) fn boxed(error: anyhow::Error) -> BoxError {
        let outermost: &(dyn StdError + 'static) = error.as_ref();
        let ours = outermost.is::<Error>()
            || outermost.is::<Trap>()
            || outermost.is::<TrapCode>()
            || outermost.is::<Exception>();
        match ours {
            true => error.reallocate_into_boxed_dyn_error_without_backtrace(),
            false => Box::new(Whole(error)),
        }
    }

    /// Contexts are found, too: they are no sources.
    pub(super) fn find<'a, E: StdError + Send + Sync + 'static>(
        error: &'a (dyn StdError + 'static),
    ) -> Option<&'a E> {
        error.downcast_ref::<Whole>()?.0.downcast_ref::<E>()
    }

    pub(super) fn take<E: StdError + Send + Sync + 'static>(
        error: BoxError,
    ) -> Result<E, BoxError> {
        let Whole(whole) = *error.downcast::<Whole>()?;
        whole.downcast::<E>().map_err(|whole| Whole(whole).into())
    }
}
