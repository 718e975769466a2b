//! What may go to another thread, and what may be used from several at once:
//! said once here, so that it does not change unnoticed.

use std::cell::Cell;
use std::rc::Rc;
use wasmprof_engine::*;

const fn sends<T: Send>() {}
const fn shares<T: Sync>() {}
const fn both<T: Send + Sync + 'static>() {}

const _: () = {
    both::<Engine>();
    both::<Module>();
    both::<Linker<()>>();
    both::<Error>();
    both::<Trap>();
    both::<Backtrace>();
    both::<Frame>();
    both::<LinkError>();
    both::<LimitError>();
    both::<StoreLimits>();

    // A store is what its data is.
    both::<Store<()>>();
    both::<Store<Vec<String>>>();
    sends::<Store<Cell<u32>>>();

    // A linker has no data.
    both::<Linker<Rc<u32>>>();

    // Handles are numbers; the store is what they are used with.
    both::<Instance>();
    both::<Func>();
    both::<TypedFunc<(i32, i64), f64>>();
    both::<Memory>();
    both::<Table>();
    both::<Global>();
    both::<Extern>();
    both::<Tag>();
    both::<Exception>();
    both::<ExnRef>();
    both::<SharedMemory>();
    both::<ExternRef>();
    both::<Val>();
    shares::<&'static TypedFunc<Option<Func>, Option<ExternRef>>>();

    // A configuration holds agents, which are called one at a time.
    sends::<Config>();
};

/// Whether a type can be sent or shared, found out without an error.
macro_rules! can {
    ($bound:ident: $ty:ty) => {{
        #[allow(dead_code)]
        trait No {
            const CAN: bool = false;
        }
        impl<T> No for T {}
        struct Asked<T>(std::marker::PhantomData<T>);
        #[allow(dead_code)]
        impl<T: $bound> Asked<T> {
            const CAN: bool = true;
        }
        <Asked<$ty>>::CAN
    }};
}

#[test]
fn what_stays_on_its_thread_stays() {
    assert!(can!(Send: Store<u32>) && can!(Sync: Store<u32>));
    assert!(!can!(Send: Store<Rc<u32>>), "its data could not be sent");
    assert!(!can!(Sync: Store<Cell<u32>>), "its data could not be shared");
    assert!(!can!(Send: Caller<'static, u32>), "a call belongs to its thread");
    assert!(!can!(Send: StoreMut<'static, u32>), "so does what a callback gets");
}
