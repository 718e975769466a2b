;; Active segments out of bounds. Those before have been copied, the one that is
;; out of bounds not even in part, those behind it not at all; elements come
;; before data.

(module $host
  (memory (export "memory") 1)
  (table (export "table") 10 funcref)
  (global (export "offset") i32 (i32.const 65533))
  (func (export "load") (param i32) (result i32) (i32.load8_u (local.get 0)))
  (func (export "call") (param i32) (result i32) (call_indirect (result i32) (local.get 0)))
  (func (export "reset") (table.fill (i32.const 0) (ref.null func) (i32.const 10)))
)
(register "host" $host)

;; Data.
(assert_trap
  (module
    (import "host" "memory" (memory 1))
    (data (i32.const 0) "ab")
    (data (i32.const 65535) "cd")
    (data (i32.const 10) "e"))
  "out of bounds memory access")
(assert_return (invoke $host "load" (i32.const 0)) (i32.const 97))
(assert_return (invoke $host "load" (i32.const 1)) (i32.const 98))
(assert_return (invoke $host "load" (i32.const 65535)) (i32.const 0))
(assert_return (invoke $host "load" (i32.const 10)) (i32.const 0))

;; With an offset that is known only when it is instantiated.
(assert_trap
  (module
    (import "host" "memory" (memory 1))
    (import "host" "offset" (global $offset i32))
    (data (global.get $offset) "xyz")
    (data (global.get $offset) "1234"))
  "out of bounds memory access")
(assert_return (invoke $host "load" (i32.const 65533)) (i32.const 120))
(assert_return (invoke $host "load" (i32.const 65535)) (i32.const 122))

;; Offsets are unsigned, and an empty segment has to be in bounds too.
(assert_trap
  (module (memory 1) (data (i32.const -1) "a"))
  "out of bounds memory access")
(assert_trap
  (module (memory 1) (data (i32.const 0x10001) ""))
  "out of bounds memory access")
(module (memory 1) (data (i32.const 0x10000) ""))
(module (memory 0) (data (i32.const 0) ""))
(assert_trap (module (memory 0) (data (i32.const 1) "")) "out of bounds memory access")

;; Elements.
(assert_trap
  (module
    (import "host" "memory" (memory 1))
    (import "host" "table" (table 10 funcref))
    (func $one (result i32) (i32.const 1))
    (func $two (result i32) (i32.const 2))
    (elem (i32.const 0) $one)
    (elem (i32.const 9) $two $two)
    (elem (i32.const 5) $two)
    (data (i32.const 20) "never"))
  "out of bounds table access")
(assert_return (invoke $host "call" (i32.const 0)) (i32.const 1))
(assert_trap (invoke $host "call" (i32.const 9)) "uninitialized element")
(assert_trap (invoke $host "call" (i32.const 5)) "uninitialized element")
(assert_return (invoke $host "load" (i32.const 20)) (i32.const 0))
(assert_trap (module (table 1 funcref) (func $f) (elem (i32.const -1) $f)) "out of bounds table access")
(assert_trap (module (table 1 funcref) (elem (i32.const 2) func)) "out of bounds table access")
(module (table 1 funcref) (elem (i32.const 1) func))

;; The instance is gone, but a function of it is in a table, and sees what its
;; own memories got: also if their contents could have been put there at once.
(invoke $host "reset")
(assert_trap
  (module
    (import "host" "table" (table 10 funcref))
    (memory $a 1)
    (memory $b 1)
    (data (memory $a) (i32.const 100) "A")
    (data (memory $b) (i32.const 65534) "BB")
    (data (memory $a) (i32.const 65534) "CCC")
    (data (memory $b) (i32.const 0) "D")
    (elem (i32.const 0) $a $b $c $d)
    (func $a (result i32) (i32.load8_u $a (i32.const 100)))
    (func $b (result i32) (i32.load8_u $b (i32.const 65535)))
    (func $c (result i32) (i32.load16_u $a (i32.const 65534)))
    (func $d (result i32) (i32.load8_u $b (i32.const 0))))
  "out of bounds memory access")
(assert_return (invoke $host "call" (i32.const 0)) (i32.const 65))
(assert_return (invoke $host "call" (i32.const 1)) (i32.const 66))
(assert_return (invoke $host "call" (i32.const 2)) (i32.const 0))
(assert_return (invoke $host "call" (i32.const 3)) (i32.const 0))

;; Segments that lie over one another: the last one wins.
(module
  (memory 1)
  (data (i32.const 0) "aaaaaa")
  (data (i32.const 2) "bb")
  (data (i32.const 3) "c")
  (func (export "load") (result i64) (i64.load (i32.const 0))))
(assert_return (invoke "load") (i64.const 0x616163626161))

;; An active segment is dropped when it has been copied, a declared one at once,
;; a passive one is not.
(module
  (memory 1)
  (table 3 funcref)
  (data $active (i32.const 0) "a")
  (data $passive "p")
  (elem $active (i32.const 0) func $f)
  (elem $declared declare func $f)
  (elem $passive func $f)
  (func $f)
  (func (export "data active") (param i32) (memory.init $active (i32.const 9) (i32.const 0) (local.get 0)))
  (func (export "data passive") (param i32) (memory.init $passive (i32.const 9) (i32.const 0) (local.get 0)))
  (func (export "elem active") (param i32) (table.init $active (i32.const 1) (i32.const 0) (local.get 0)))
  (func (export "elem declared") (param i32) (table.init $declared (i32.const 1) (i32.const 0) (local.get 0)))
  (func (export "elem passive") (param i32) (table.init $passive (i32.const 1) (i32.const 0) (local.get 0)))
  (func (export "load") (result i32) (i32.load8_u (i32.const 9)))
)
(assert_return (invoke "data active" (i32.const 0)))
(assert_trap (invoke "data active" (i32.const 1)) "out of bounds memory access")
(assert_return (invoke "data passive" (i32.const 1)))
(assert_return (invoke "load") (i32.const 112))
(assert_return (invoke "elem active" (i32.const 0)))
(assert_trap (invoke "elem active" (i32.const 1)) "out of bounds table access")
(assert_trap (invoke "elem declared" (i32.const 1)) "out of bounds table access")
(assert_return (invoke "elem passive" (i32.const 1)))
(assert_trap (invoke "elem passive" (i32.const 2)) "out of bounds table access")
