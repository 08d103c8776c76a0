//! Calls that have to succeed: made again when they are refused.

/// How often such a call is made before its refusal counts.
const TRIES: usize = 3;

/// Makes `call`, and makes it again when it is refused; `refused` is told of each refusal after
/// which it is.
///
/// # Errors
/// The last refusal.
pub fn insist<T, E>(
    mut call: impl FnMut() -> Result<T, E>,
    mut refused: impl FnMut(E),
) -> Result<T, E> {
    for _ in 1..TRIES {
        match call() {
            Ok(value) => return Ok(value),
            Err(error) => refused(error),
        }
    }
    call()
}
