;; Threads: what one has stored before an event is there for one that has seen
;; the event, and waiting ends.

(module $m (memory (export "shared") 1 2 shared))
(register "m" $m)

;; A message is written first, then a flag is set.
(thread $writer (shared (module $m))
  (register "m" $m)
  (module
    (memory (import "m" "shared") 1 2 shared)
    (func (export "write") (param i32)
      (loop $more
        (i32.store (i32.const 0) (local.get 0))
        (i32.store (i32.const 256) (local.get 0))
        (i32.atomic.store (i32.const 512) (local.get 0))
        ;; Until the reader has it.
        (loop $wait
          (br_if $wait (i32.ne (i32.atomic.load (i32.const 768)) (local.get 0))))
        (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))))
  (assert_return (invoke "write" (i32.const 1000))))
(thread $reader (shared (module $m))
  (register "m" $m)
  (module
    (memory (import "m" "shared") 1 2 shared)
    ;; How many messages were not the ones that the flag stands for.
    (func (export "read") (param i32) (result i32) (local $wrong i32)
      (loop $more
        (loop $wait
          (br_if $wait (i32.ne (i32.atomic.load (i32.const 512)) (local.get 0))))
        (local.set $wrong
          (i32.add (local.get $wrong)
            (i32.or
              (i32.ne (i32.load (i32.const 0)) (local.get 0))
              (i32.ne (i32.load (i32.const 256)) (local.get 0)))))
        (i32.atomic.store (i32.const 768) (local.get 0))
        (br_if $more (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
      (local.get $wrong)))
  (assert_return (invoke "read" (i32.const 1000)) (i32.const 0)))
(wait $writer)
(wait $reader)

;; One waits, and the other notifies until it has woken one.
(thread $waiter (shared (module $m))
  (register "m" $m)
  (module
    (memory (import "m" "shared") 1 2 shared)
    (func (export "wait") (result i32)
      (memory.atomic.wait32 (i32.const 1024) (i32.const 0) (i64.const -1))))
  (assert_return (invoke "wait") (i32.const 0)))
(thread $notifier (shared (module $m))
  (register "m" $m)
  (module
    (memory (import "m" "shared") 1 2 shared)
    (func (export "wake") (result i32) (local $woken i32)
      (loop $more
        (local.set $woken (memory.atomic.notify (i32.const 1024) (i32.const 5)))
        (br_if $more (i32.eqz (local.get $woken))))
      (local.get $woken)))
  (assert_return (invoke "wake") (i32.const 1))

  ;; A thread may have threads.
  (thread $inner (shared (module $m))
    (register "m" $m)
    (module
      (memory (import "m" "shared") 1 2 shared)
      (func (export "grow") (result i32) (memory.grow (i32.const 1))))
    (assert_return (invoke "grow") (i32.const 1)))
  (wait $inner))
(wait $waiter)
(wait $notifier)

(module
  (memory (import "m" "shared") 2 2 shared)
  (func (export "size") (result i32) (memory.size))
  (func (export "last") (result i32) (i32.atomic.load (i32.const 0x1_fffc))))
(assert_return (invoke "size") (i32.const 2))
(assert_return (invoke "last") (i32.const 0))

;; A memory that is not shared.
(module
  (memory 1)
  (func (export "wait32") (param i32) (result i32)
    (memory.atomic.wait32 offset=4 (local.get 0) (i32.const 0) (i64.const 0)))
  (func (export "wait64") (param i32) (result i32)
    (memory.atomic.wait64 (local.get 0) (i64.const 0) (i64.const 0)))
  (func (export "notify") (param i32) (result i32)
    (memory.atomic.notify offset=4 (local.get 0) (i32.const -1)))
  (func (export "fence") (atomic.fence)))
(assert_trap (invoke "wait32" (i32.const 0)) "expected shared memory")
(assert_trap (invoke "wait64" (i32.const 0)) "expected shared memory")
(assert_trap (invoke "wait32" (i32.const 1)) "unaligned atomic")
(assert_trap (invoke "wait64" (i32.const 4)) "unaligned atomic")
(assert_trap (invoke "wait32" (i32.const 65532)) "out of bounds memory access")
(assert_trap (invoke "wait64" (i32.const 65536)) "out of bounds memory access")
(assert_return (invoke "notify" (i32.const 65528)) (i32.const 0))
(assert_trap (invoke "notify" (i32.const 65532)) "out of bounds memory access")
(assert_trap (invoke "notify" (i32.const -4)) "out of bounds memory access")
(assert_trap (invoke "notify" (i32.const 2)) "unaligned atomic")
(assert_return (invoke "fence"))
