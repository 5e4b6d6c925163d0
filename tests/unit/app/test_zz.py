def test_0() -> None:
    pass
async def test_a() -> None:
    pass
def test_b() -> None:
    pass
async def test_c() -> None:
    pass
