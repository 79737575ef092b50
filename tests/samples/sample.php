<?php
namespace App\Http;

use App\Models\User;
use App\Models\{Post, Tag as T};
require_once "lib/x.php";
const LIMIT = 3;

/** Orders. */
class Orders extends Base
{
    private $n = 1;

    /**
     * Finds it.
     */
    public function find(string $key): array
    {
        return $this->repo->find($key);
    }
}
interface Repo { public function save($o); }
function helper($x)
{
    return $x + 1;
}
