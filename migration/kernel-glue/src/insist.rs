//! Calls that have to succeed: made again when they are refused.

/// How often such a call is made before its refusal counts.
const TRIES: usize = 3;

/// Makes `call`, and makes it again when it is refused, three times in all; `refused` is told of
/// each refusal after which it is.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_refusal_counts() {
        for granted_at in 1..=4 {
            let (mut calls, mut told) = (0, 0);
            let result = insist(
                || {
                    calls += 1;
                    (calls == granted_at).then_some(()).ok_or(calls)
                },
                |_| told += 1,
            );
            let granted = granted_at <= TRIES;
            assert_eq!(result, granted.then_some(()).ok_or(TRIES));
            assert_eq!(told, granted_at.min(TRIES) - 1);
        }
    }
}
