"""A contract that does nothing but compute, for benchmarks: how many primes there are below a limit."""

from iov import Contract, u64, view


class Primes(Contract):
    """Trial division: a division, a multiplication, an addition and two comparisons a step."""

    @view
    def count_below(self, limit: u64) -> u64:
        """How many primes are smaller than this."""
        found = u64(0)
        number = u64(2)
        while number < limit:
            divisor = u64(2)
            is_prime = True
            while divisor * divisor <= number:
                if number % divisor == 0:
                    is_prime = False
                    break
                divisor += 1
            if is_prime:
                found += 1
            number += 1
        return found
