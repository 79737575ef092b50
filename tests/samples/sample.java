package com.acme;

import java.util.List;
import static com.acme.Util.*;

/** A service. */
@Service
public class Orders<T> extends Base {
    private final int n = 1;

    /**
     * Finds it.
     */
    @Override
    public List<T> find(String key) throws IOException {
        return repo.find(key);
    }

    Orders() {
        super();
    }

    enum Kind { A, B }
}

interface Repo {
    void save(Order o);
}
