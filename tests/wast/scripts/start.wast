;; Start functions that trap. What they did before stays done, in what the
;; instance imported; there is no instance, yet its functions live on in tables.

(module $host
  (memory (export "memory") 1)
  (table (export "table") 4 funcref)
  (global (export "global") (mut i32) (i32.const 0))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
)
(register "host" $host)

(assert_trap (module (func $f (unreachable)) (start $f)) "unreachable")
(assert_trap
  (module (func $f (drop (i32.div_u (i32.const 1) (i32.const 0)))) (start $f))
  "integer divide by zero")
(assert_trap
  (module (memory 1) (func $f (i32.store (i32.const 65533) (i32.const 0))) (start $f))
  "out of bounds memory access")
(assert_trap
  (module (table 1 funcref) (func $f (call_indirect (i32.const 0))) (start $f))
  "uninitialized element")

(assert_trap
  (module
    (import "host" "memory" (memory 1))
    (import "host" "table" (table 4 funcref))
    (import "host" "global" (global $g (mut i32)))
    (global $own (mut i32) (i32.const 30))
    (data (i32.const 0) "\11")
    (elem (i32.const 0) $f)
    (func $f (result i32)
      (global.set $own (i32.add (global.get $own) (i32.const 1))) (global.get $own))
    (func $start
      (i32.store8 (i32.const 1) (i32.const 0x22))
      (global.set $g (i32.const 0x33))
      (global.set $own (i32.const 40))
      (table.set (i32.const 1) (table.get (i32.const 0)))
      (unreachable)
      (i32.store8 (i32.const 2) (i32.const 0x44)))
    (start $start))
  "unreachable")
(assert_return (invoke $host "load" (i32.const 0)) (i32.const 0x11))
(assert_return (invoke $host "load" (i32.const 1)) (i32.const 0x22))
(assert_return (invoke $host "load" (i32.const 2)) (i32.const 0))
(assert_return (get $host "global") (i32.const 0x33))
(assert_return (invoke $host "call" (i32.const 0)) (i32.const 41))
(assert_return (invoke $host "call" (i32.const 1)) (i32.const 42))
(assert_trap (invoke $host "call" (i32.const 2)) "uninitialized element")

;; An imported start function, of another instance, and one that traps there.
(module $counter
  (global $n (mut i32) (i32.const 0))
  (func (export "count")
    (global.set $n (i32.add (global.get $n) (i32.const 1)))
    (if (i32.eq (global.get $n) (i32.const 3)) (then (unreachable))))
  (func (export "n") (result i32) (global.get $n))
)
(register "counter" $counter)
(module (import "counter" "count" (func $count)) (start $count))
(module (import "counter" "count" (func $count)) (func $f (call $count)) (start $f))
(assert_trap (module (import "counter" "count" (func $count)) (start $count)) "unreachable")
(assert_return (invoke $counter "n") (i32.const 3))
(module (import "spectest" "print" (func $print)) (start $print))

;; A start function that is not reached because a segment is out of bounds.
(assert_trap
  (module
    (import "counter" "count" (func $count))
    (memory 0) (data (i32.const 0) "a")
    (start $count))
  "out of bounds memory access")
(assert_return (invoke $counter "n") (i32.const 3))
