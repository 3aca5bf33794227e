"""What a database knows of itself: that one master key belongs to it."""

from __future__ import annotations

from heliograph.storage.engine import Transaction
from heliograph.storage.sealing import Sealer

_PROOF = "master_key_proof"


def proof_of(tx: Transaction) -> bytes | None:
    """Return what `Sealer.check` proves a master key by, or None while the database belongs to none."""
    row = tx.one("select value from instance where name = :name", name=_PROOF)
    return row[0] if row else None


def claim(tx: Transaction, sealer: Sealer) -> bool:
    """Tie an empty database to the master key, or check the key of one that is in use; tell which it was.

    Raises:
        WrongMasterKey: when the database belongs to another key.
    """
    claimed = tx.run(
        "insert into instance (name, value) values (:name, :proof) on conflict (name) do nothing",
        name=_PROOF,
        proof=sealer.proof(),
    )
    if claimed:
        return True
    proof = proof_of(tx)
    assert proof is not None
    sealer.check(proof)
    return False
