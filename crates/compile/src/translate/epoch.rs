//! Interruption by epochs: the check at the entry of each function and at the
//! head of each loop, if the options ask for it. Without it there is not one
//! instruction more.

use super::{Translator, region};
use crate::signature::POINTER;
use cranelift_codegen::ir::condcodes::IntCC;
use cranelift_codegen::ir::{InstBuilder, MemFlagsData, types};
use wasmprof_image::abi::{Builtin, store_context, vmctx};

impl Translator<'_> {
    /// Calls the runtime if the engine's counter has reached the deadline of
    /// the store, and goes on in a new block.
    ///
    /// The counter changes behind the compiler's back. An ordinary load of it
    /// would be redundant, in a loop without stores, with the one before the
    /// loop, if it were not for the call below; an atomic one never is. It is
    /// the same instruction, and since it orders memory no more than that call
    /// does, it costs nothing.
    pub(super) fn check_epoch(&mut self) {
        if !self.env.epoch_interruption {
            return;
        }
        let context = self.load_immutable(POINTER, vmctx::STORE_CONTEXT);
        let flags = self.immutable();
        let counter = self.ins().load(POINTER, flags, context, store_context::EPOCH_COUNTER as i32);
        let epoch = self.ins().atomic_load(types::I64, MemFlagsData::trusted(), counter);
        let flags = region::context(self.builder.func);
        let deadline =
            self.ins().load(types::I64, flags, context, store_context::EPOCH_DEADLINE as i32);
        let reached = self.ins().icmp(IntCC::UnsignedGreaterThanOrEqual, epoch, deadline);

        let interrupted = self.builder.create_block();
        let next = self.builder.create_block();
        self.builder.set_cold_block(interrupted);
        self.ins().brif(reached, interrupted, &[], next, &[]);
        self.continue_in(interrupted);
        self.call_builtin(Builtin::EpochDeadline, &[]);
        self.ins().jump(next, &[]);
        self.continue_in(next);
    }
}
